//! Groups in the methods of a struct.

use serde::{Deserialize, Serialize};
use socket_ipc::{Context, ErrorReply, GroupError, Topic, handlers, limits};

use super::{Number, Scene, line};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "enter", reply = bool)]
struct Enter(String);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "enter later", reply = usize)]
struct EnterLater(String);

struct House;

#[handlers]
impl House {
    fn enter(&self, Enter(room): Enter, context: Context<'_>) -> Result<bool, GroupError> {
        context.join(room)
    }

    async fn enter_later(
        &self,
        EnterLater(room): EnterLater,
        context: Context<'static>,
    ) -> Result<usize, ErrorReply> {
        tokio::task::yield_now().await;
        context.join(&room)?;
        Ok(context.server().group(room).len())
    }
}

support::both_flavours! {
    async fn method_joins_its_client_to_a_group() {
        let mut scene = Scene::new().await;
        scene.server.attach(House).unwrap();
        let ((mut first, first_id), (mut second, second_id)) = (scene.client().await, scene.client().await);
        first.write("{\"topic\":\"enter\",\"message\":\"room 5\",\"id\":1}\n").await;
        assert_eq!(first.line().await, r#"{"topic":"enter","message":true,"re":1}"#);
        second.write("{\"topic\":\"enter later\",\"message\":\"room 5\",\"id\":2}\n").await;
        assert_eq!(second.line().await, r#"{"topic":"enter later","message":2,"re":2}"#);
        let room = scene.server.group("room 5");
        assert_eq!(room.members(), [first_id, second_id]);
        room.broadcast(&Number(1)).unwrap();
        assert_eq!([first.line().await, second.line().await], [line(1), line(1)]);
        let name = "x".repeat(limits::GROUP_NAME_LEN + 1);
        for topic in ["enter", "enter later"] {
            first.write(format!("{{\"topic\":\"{topic}\",\"message\":\"{name}\",\"id\":3}}\n")).await;
            let reply = first.line().await;
            assert!(reply.contains("takes 257 bytes, over the limit of 256"), "{reply}");
        }
    }
}
