//! The caller of a room that a dispatch rule has made, as LiveKit shows it.

use std::{collections::HashMap, time::Duration};

use patchbay_domain::states::ParticipantKind;
use tokio::time::{Instant, sleep};

use crate::{Result, Service, sessions::create::RoomInLiveKit};

/// How long a claim waits for the caller to be in the room.
const PATIENCE: Duration = Duration::from_secs(3);

/// A caller in a room, as LiveKit shows it.
pub(super) struct CallerInRoom {
    /// The room.
    pub room: RoomInLiveKit,
    /// Identity of the telephone.
    pub identity: String,
    /// What LiveKit says of the call.
    pub attributes: HashMap<String, String>,
}

/// Waits for the caller of a room that a rule has made.
pub(super) async fn find_caller(
    service: &Service,
    room: &str,
    rule: &str,
) -> Result<Option<CallerInRoom>> {
    let deadline = Instant::now() + PATIENCE;
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
                room: RoomInLiveKit {
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
