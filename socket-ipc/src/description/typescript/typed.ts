
/** The part of the Node library's `Client` that `typed` uses. The library has no types of its own. */
export interface NodeClient {
    send(topic: string, message: unknown): void;
    on(event: string, listener: (message: any) => void): unknown;
}

/** `send` and `on` with the types of the topics above. */
export interface TypedClient {
    send<T extends keyof ToServer>(topic: T, message: ToServer[T]): void;
    on<T extends keyof ToClient>(topic: T, listener: (message: ToClient[T]) => void): void;
}

/** Gives a `Client` of the Node library the types of the topics. Use the `Client` itself for its other events. */
export function typed(client: NodeClient): TypedClient {
    return {
        send: (topic, message) => client.send(topic, message),
        on: (topic, listener) => void client.on(`message.${topic}`, listener),
    };
}
