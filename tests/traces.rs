//! Traces that cross the wire: the spans of both ends, exported to memory, are one trace.

use std::sync::OnceLock;

use futures::stream;
use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceId, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, ServerBuilder, Topic};
use support::{Place, RawPeer, soon};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "double", reply = u64)]
struct Double(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = u64)]
struct Wait(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count(u64);

/// What all tests of this process export.
fn exported() -> &'static InMemorySpanExporter {
    static EXPORTER: OnceLock<InMemorySpanExporter> = OnceLock::new();
    static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
    EXPORTER.get_or_init(|| {
        let exporter = InMemorySpanExporter::default();
        let provider = PROVIDER
            .get_or_init(|| SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build());
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("traces"));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
        exporter
    })
}

/// The spans of a trace that have this name, once there are so many.
async fn spans(trace: TraceId, name: &str, count: usize) -> Vec<SpanData> {
    let found = async {
        loop {
            let mut spans = exported().get_finished_spans().unwrap();
            spans.retain(|span| span.span_context.trace_id() == trace && span.name == name);
            if spans.len() >= count {
                return spans;
            }
            tokio::task::yield_now().await;
        }
    };
    soon("the spans", found).await
}

/// The spans that are linked to one of a trace, once there are so many.
async fn linked(trace: TraceId, count: usize) -> Vec<SpanData> {
    let found = async {
        loop {
            let mut spans = exported().get_finished_spans().unwrap();
            spans.retain(|span| span.links.iter().any(|link| link.span_context.trace_id() == trace));
            if spans.len() >= count {
                return spans;
            }
            tokio::task::yield_now().await;
        }
    };
    soon("the linked spans", found).await
}

/// A span of the requester, and its ids.
fn span() -> (tracing::Span, TraceId, SpanId) {
    let span = tracing::info_span!("asking");
    let context = span.context();
    let ids = context.span().span_context().clone();
    (span, ids.trace_id(), ids.span_id())
}

async fn served(place: &Place, options: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Client) {
    exported();
    let server = options(Server::builder(place.socket())).build();
    server.respond::<Double>(|Double(number), _| 2 * number).unwrap();
    server
        .respond_async::<Wait>(|Wait(number), _| async move {
            tokio::task::yield_now().await;
            number
        })
        .unwrap();
    server.respond_stream::<Count>(|Count(end), _| stream::iter(0..end)).unwrap();
    server.listen().await.unwrap();
    let client = Client::builder(place.socket()).accept_traces().build();
    client.respond::<Double>(|Double(number)| 2 * number).unwrap();
    client.connect().await.unwrap();
    (server, client)
}

support::both_flavours! {
    async fn request_and_stream_inside_a_span_are_of_its_trace() {
        let place = Place::new();
        let (server, client) = served(&place, ServerBuilder::accept_traces).await;
        let (span, trace, parent) = span();
        async {
            assert_eq!(client.request(&Double(4)).await.unwrap(), 8);
            assert_eq!(client.request(&Wait(4)).await.unwrap(), 4);
            let mut items = client.request_stream(&Count(3));
            while let Some(item) = items.next().await {
                item.unwrap();
            }
        }
        .instrument(span)
        .await;
        for request in spans(trace, "request", 3).await {
            assert_eq!(request.parent_span_id, parent);
            assert!(request.span_context.is_sampled() && request.parent_span_is_remote);
        }
        // The other way round.
        let (span, trace, parent) = self::span();
        let client_id = server.clients()[0];
        let reply = server.request(&Double(5), client_id).instrument(span.clone());
        // The future was made outside of the span: what counts is where it was sent.
        assert_eq!(reply.await.unwrap(), 10);
        let reply = span.in_scope(|| server.request(&Double(6), client_id));
        assert_eq!(reply.await.unwrap(), 12);
        drop(span);
        let [request] = &spans(trace, "request", 1).await[..] else { panic!("more than one span") };
        assert_eq!(request.parent_span_id, parent);
        // A request outside of a span begins a trace of its own.
        assert_eq!(client.request(&Double(4)).await.unwrap(), 8);
        assert_eq!(spans(trace, "request", 1).await.len(), 1);
    }

    async fn trace_not_accepted_is_ignored() {
        let place = Place::new();
        let (_server, client) = served(&place, |builder| builder).await;
        let (span, trace, _) = span();
        assert_eq!(client.request(&Double(4)).instrument(span.clone()).await.unwrap(), 8);
        let reply = span.in_scope(|| client.request(&Double(4)));
        assert_eq!(reply.await.unwrap(), 8);
        drop(span);
        assert_eq!(spans(trace, "asking", 1).await.len(), 1);
        assert_eq!(spans(trace, "request", 0).await.len(), 0);
    }

    // Also where the request is held back behind a listener that is running.
    async fn trace_of_another_program_is_taken_and_malformed_one_ignored() {
        let place = Place::new();
        let (server, _client) = served(&place, ServerBuilder::accept_traces).await;
        server.on_async::<Double>(|_, _| async { tokio::task::yield_now().await });
        let mut peer = RawPeer::connect(place.socket()).await;
        let ids = [fastrand::u128(1..), fastrand::u128(1..)];
        let [first, second] = ids.map(TraceId::from);
        peer.write(format!(
            "{{\"id\":1,\"trace\":\"00-{first:032x}-00000000000000ff-01\",\"topic\":\"double\",\"message\":1}}\n\
             {{\"topic\":\"double\",\"message\":2,\"trace\":\"00-{second:032x}-00000000000000ff-00\",\"id\":2}}\n\
             {{\"topic\":\"double\",\"message\":3,\"trace\":\"00-{second:032x}-00000000000000ff\",\"id\":3}}\n\
             {{\"topic\":\"double\",\"message\":4,\"trace\":{{}},\"id\":4}}\n"
        ))
        .await;
        for number in 1..5 {
            let expected = format!("{{\"topic\":\"double\",\"message\":{},\"re\":{number}}}", 2 * number);
            assert_eq!(peer.line().await, expected);
        }
        let [request] = &spans(first, "request", 1).await[..] else { panic!("more than one span") };
        assert_eq!(request.parent_span_id, SpanId::from(0xff));
        // It was not sampled, and the malformed one is of no trace.
        assert_eq!(spans(second, "request", 0).await.len(), 0);
    }

    async fn request_without_a_trace_begins_one_of_its_own() {
        let place = Place::new();
        let (_server, _client) = served(&place, ServerBuilder::accept_traces).await;
        // The ids tell the requests of this test from others.
        let first = fastrand::u64(1 << 32..1 << 52);
        let mut peer = RawPeer::connect(place.socket()).await;
        for id in [first, first + 1] {
            peer.write(format!("{{\"topic\":\"double\",\"message\":1,\"id\":{id}}}\n")).await;
            peer.line().await;
        }
        let of = |id: u64| {
            let spans = exported().get_finished_spans().unwrap();
            let is_it = |pair: &opentelemetry::KeyValue| pair.key.as_str() == "id" && pair.value.as_str() == id.to_string();
            spans.into_iter().find(|span| span.name == "request" && span.attributes.iter().any(is_it))
        };
        let found = async {
            loop {
                if let (Some(one), Some(other)) = (of(first), of(first + 1)) {
                    return [one, other];
                }
                tokio::task::yield_now().await;
            }
        };
        let [one, other] = soon("the spans", found).await;
        assert_eq!((one.parent_span_id, other.parent_span_id), (SpanId::INVALID, SpanId::INVALID));
        assert_ne!(one.span_context.trace_id(), other.span_context.trace_id());
    }
}

/// Requests and streams between the nodes of a cluster.
#[cfg(feature = "nats")]
mod nodes {
    use socket_ipc::cluster::{ClientRef, Cluster, ClusterOptions};
    use support::nats::Nats;

    use super::*;

    support::both_flavours! {
        async fn trace_across_nodes_is_linked() {
            let Some(nats) = Nats::start() else { return };
            let (place, other_place) = (Place::new(), Place::new());
            let join = async |server: &Server, name| {
                let options = ClusterOptions::new(nats.url(), "desk").name(name);
                soon("joining", Cluster::join(server, options)).await.unwrap()
            };
            let (server, client) = served(&place, ServerBuilder::accept_traces).await;
            let one = join(&server, "one").await;
            one.offer::<(Double, Count)>().unwrap();
            let other_server = Server::builder(other_place.socket()).accept_traces().build();
            other_server.listen().await.unwrap();
            let other = join(&other_server, "other").await;
            other.forward::<(Double, Count)>().unwrap();
            let other_client = Client::new(other_place.socket());
            other_client.connect().await.unwrap();
            let to = ClientRef { node: one.node().clone(), client: server.clients()[0].get() };
            while other_client.request(&Double(1)).await.is_err() {
                // The offer is on its way.
                tokio::task::yield_now().await;
            }
            let (span, trace, parent) = span();
            async {
                assert_eq!(soon("the reply", other_client.request(&Double(2))).await.unwrap(), 4);
                let mut items = other_client.request_stream(&Count(1));
                assert_eq!(soon("the item", items.next()).await.unwrap().unwrap(), 0);
                // Of a client of another node.
                assert_eq!(soon("the reply", other.request(&Double(3), &to)).await.unwrap(), 6);
            }
            .instrument(span)
            .await;
            // In the node that forwards: its own clients are known.
            let forwarded = spans(trace, "request", 2).await;
            assert!(forwarded.len() == 2 && forwarded.iter().all(|request| request.parent_span_id == parent));
            // In the other node: for its two responders, and for its client, whose own span is a child of that.
            let linked = linked(trace, 3).await;
            assert!(linked.iter().all(|span| span.span_context.trace_id() != trace));
            let of_client = async {
                loop {
                    let spans = exported().get_finished_spans().unwrap();
                    let mut children = linked.iter().map(|span| span.span_context.span_id());
                    if children.any(|parent| spans.iter().any(|span| span.parent_span_id == parent)) {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            };
            soon("the span of the client", of_client).await;
            drop(client);
        }
    }
}

/// Of a peer whose user is not known: its span is linked, and does not decide what is recorded.
#[tokio::test]
async fn trace_of_an_unknown_user_is_linked() {
    let place = Place::new();
    let (server, _client) = served(&place, ServerBuilder::accept_traces).await;
    let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
    server.serve_connection(ours).unwrap();
    let mut peer = RawPeer::over(theirs);
    let trace = TraceId::from(fastrand::u128(1..));
    for flags in ["01", "00"] {
        peer.write(format!(
            "{{\"topic\":\"double\",\"message\":1,\"trace\":\"00-{trace:032x}-00000000000000ff-{flags}\",\"id\":1}}\n"
        ))
        .await;
        peer.line().await;
    }
    assert_eq!(spans(trace, "request", 0).await.len(), 0);
    for span in linked(trace, 2).await {
        assert_eq!((&*span.name, span.parent_span_id), ("request", SpanId::INVALID));
    }
}
