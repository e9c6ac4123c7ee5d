//! The errors that a fault may cause, by their names. All others break a promise.

use std::fmt::Debug;

use socket_ipc::cluster::ClusterError;
use socket_ipc::{RequestError, SendError};

/// The name of an error that a fault may cause. `Err`: no fault explains it.
pub fn name_of<E: Debug>(error: &RequestError<E>) -> Result<&str, String> {
    match error {
        RequestError::Send(SendError::NotConnected { .. }) => Ok("not connected"),
        // Of a client that comes and goes.
        RequestError::Send(SendError::Closed { .. }) => Ok("closed"),
        RequestError::ConnectionLost { .. } => Ok("connection lost"),
        RequestError::NoResponder { .. } => Ok("no responder"),
        RequestError::Rejected { reply, .. } => match reply.code() {
            code @ ("lost" | "link_down" | "closing") => Ok(code),
            _ => Err(format!("{error:?}")),
        },
        _ => Err(format!("{error:?}")),
    }
}

/// The same, where a node requests.
pub fn name_in_cluster<E: Debug>(error: &ClusterError<E>) -> Result<&str, String> {
    match error {
        ClusterError::LinkDown { .. } => Ok("link down"),
        ClusterError::Left { .. } => Ok("left"),
        ClusterError::UnknownNode { .. } => Ok("unknown node"),
        ClusterError::UnknownClient { .. } => Ok("unknown client"),
        ClusterError::Lost { .. } => Ok("lost"),
        ClusterError::ItemsLost { .. } => Ok("items lost"),
        ClusterError::Send(SendError::UnknownClient { .. }) => Ok("unknown client"),
        // Of a node that has left and ends.
        ClusterError::Send(SendError::Closed { .. }) => Ok("closed"),
        ClusterError::Request(error) => name_of(error),
        _ => Err(format!("{error:?}")),
    }
}
