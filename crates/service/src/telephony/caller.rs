//! Lookup of the caller in a room that a dispatch rule has created.

use std::{collections::HashMap, time::Duration};

use patchbay_domain::states::ParticipantKind;
use tokio::time::{Instant, sleep};

use crate::{Result, Service, sessions::create::ExistingRoom};

/// How long a claim waits for the caller to join the room.
const JOIN_TIMEOUT: Duration = Duration::from_secs(3);

/// A caller in a room, as LiveKit reports it.
pub(super) struct CallerInRoom {
    /// The room.
    pub room: ExistingRoom,
    /// Identity of the SIP participant.
    pub identity: String,
    /// Attributes of the SIP participant.
    pub attributes: HashMap<String, String>,
}

/// Waits until the caller is in the room that the rule has created; `None` after the timeout.
pub(super) async fn find_caller(
    service: &Service,
    room: &str,
    rule: &str,
) -> Result<Option<CallerInRoom>> {
    let deadline = Instant::now() + JOIN_TIMEOUT;
    loop {
        let rooms = service.livekit.list_rooms(vec![room.to_owned()]).await?;
        let present = service.livekit.list_participants(room).await?;
        let caller = present.into_iter().find(|participant| {
            participant.kind == ParticipantKind::Sip
                && participant
                    .attributes
                    .get("sip.ruleID")
                    .is_some_and(|id| id == rule)
        });
        if let (Some(found), Some(caller)) = (rooms.into_iter().next(), caller) {
            return Ok(Some(CallerInRoom {
                room: ExistingRoom {
                    name: found.name,
                    sid: found.sid,
                },
                identity: caller.identity,
                attributes: caller.attributes,
            }));
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        sleep(Duration::from_millis(100)).await;
    }
}
