use std::{error::Error, time::Duration};

use serde::{Deserialize, Serialize};
use socket_ipc::{Topic, blocking};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64)]
struct Add { left: i64, right: i64 }

fn main() -> Result<(), Box<dyn Error>> {
    let client = blocking::Client::new("/tmp/myApp.sock");
    let messages = client.subscribe_raw();           // `subscribe::<Greeting>()` has those of one type
    client.connect_within(Duration::from_secs(5))?; // `connect` waits as long as it takes
    let five = client.request(&Add { left: 2, right: 3 })?;
    println!("{five}");
    for (topic, message) in messages {              // until the client is closed
        println!("{topic} {message}");
    }
    Ok(())
}
