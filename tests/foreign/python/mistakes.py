# The type checker rejects the lines that end in `mistake`, and no others.

from chat import Client, FollowFailed, JobEvent, Mood, SubmitFailed


async def correct(client: Client) -> None:
    await client.send("hello", {"name": "Python", "mood": {"is": "Happy"}})
    await client.send("ping")
    submitted = await client.request("submit", {"command": "bake"}, timeout=1.5)
    print(submitted["id"] + 1)
    remove = client.on("greeting", lambda greeting: print(greeting["text"].upper(), greeting.get("number")))
    remove()
    client.respond("which", lambda which: which + 1)
    try:
        async for event in client.stream("follow", {"id": 7}, window=1024):
            print("started" if event == "Started" else event)
    except FollowFailed as failed:
        print(failed.error == "NoSuchJob", failed.text)
    except SubmitFailed as failed:
        print(failed.error["QueueFull"]["max"] + 1)
    mood: Mood = {"is": "Puzzled", "by": "types"}
    if mood["is"] == "Puzzled":
        print(mood["by"])


async def mistaken(client: Client) -> None:
    await client.send("hello", {"nam": "Python", "mood": {"is": "Happy"}})  # mistake
    await client.send("hello", {"name": "Python"})  # mistake
    await client.send("hello", {"name": "Python", "mood": {"is": "Hungry"}})  # mistake
    await client.send("hullo", {"name": "Python", "mood": {"is": "Happy"}})  # mistake
    await client.send("greeting", {"text": "Hello!"})  # mistake
    await client.send("submit", {"command": "bake"})  # mistake
    submitted = await client.request("submit", {"command": "bake"})
    print(submitted["number"])  # mistake
    client.on("greeting", lambda greeting: greeting["txt"])  # mistake
    client.on("submit", print)  # mistake
    client.respond("which", lambda which: str(which))  # mistake
    await client.request("follow", {"id": 7})  # mistake
    event: JobEvent = {"Ended": {"status": "well"}}  # mistake
    async for event in client.stream("follow", {"id": 7}):
        print(event["Output"])  # mistake
    try:
        await client.request("submit", {"command": "bake"})
    except SubmitFailed as failed:
        print(failed.error["QueueFull"]["most"])  # mistake
