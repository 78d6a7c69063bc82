//! Rooms, participants and agent dispatches.

use std::{borrow::Cow, collections::HashMap};

use chrono::{DateTime, Utc};
use livekit_api::access_token::VideoGrants;
use livekit_protocol as proto;
use patchbay_domain::states::ParticipantKind;
use tracing::instrument;

use crate::{client::LiveKit, error::Error, storable};

const ROOMS: &str = "RoomService";
const DISPATCHES: &str = "AgentDispatchService";

/// A room to be created with one agent dispatched into it.
#[derive(Clone, Debug)]
pub struct RoomRequest {
    /// Name of the room.
    pub name: String,
    /// Seconds that an empty room waits for its first participant.
    pub empty_timeout: u32,
    /// Seconds that a room stays after its last participant left (agents do not count).
    pub departure_timeout: u32,
    /// Maximum participants at a time; agents do not count.
    pub max_participants: u32,
    /// Agent name to dispatch.
    pub agent_name: String,
    /// Metadata of the dispatch. Not secret.
    pub dispatch_metadata: String,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// LiveKit's id; a room that is created again under the same name has another one.
    pub sid: String,
    /// Its name.
    pub name: String,
}

/// Parses protobuf's name of a kind; anything unknown is [`ParticipantKind::Other`].
pub(crate) fn kind_of_name(name: &str) -> ParticipantKind {
    match name {
        "" | "STANDARD" => ParticipantKind::Standard,
        "AGENT" => ParticipantKind::Agent,
        "SIP" => ParticipantKind::Sip,
        _ => ParticipantKind::Other,
    }
}

/// A participant that is in a room now.
#[derive(Clone, Debug)]
pub struct Participant {
    /// LiveKit's id of this connection; a reconnect gets another one.
    pub sid: String,
    /// Identity from the token.
    pub identity: String,
    /// Display name from the token.
    pub name: String,
    /// Its kind.
    pub kind: ParticipantKind,
    /// When it joined, in whole seconds.
    pub joined_at: Option<DateTime<Utc>>,
    /// Attributes, such as `sip.callStatus` of a phone.
    pub attributes: HashMap<String, String>,
}

/// A dispatch in LiveKit. It does not mean that an agent will join.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// LiveKit's id.
    pub id: String,
    /// The metadata it was created with.
    pub metadata: String,
    /// Whether a worker has taken it and may still bring an agent. LiveKit drops a dispatch for good if none does, and
    /// does not say so; it shows only that the dispatch has no job. A job that a worker has refused for good is there, and
    /// has ended.
    pub is_taken: bool,
}

impl LiveKit {
    /// Creates a room with its dispatch. Idempotent: a repetition creates neither another room nor another
    /// dispatch.
    #[instrument(skip_all, fields(room = %room_without_caller(&request.name)), err)]
    pub async fn create_room(&self, request: &RoomRequest) -> Result<Room, Error> {
        let grants = VideoGrants {
            room_create: true,
            ..VideoGrants::default()
        };
        let body = proto::CreateRoomRequest {
            name: request.name.clone(),
            empty_timeout: request.empty_timeout,
            max_participants: request.max_participants,
            departure_timeout: request.departure_timeout,
            agents: vec![proto::RoomAgentDispatch {
                agent_name: request.agent_name.clone(),
                metadata: request.dispatch_metadata.clone(),
                ..proto::RoomAgentDispatch::default()
            }],
            ..proto::CreateRoomRequest::default()
        };
        let room: proto::Room = self.call(ROOMS, "CreateRoom", grants, &body).await?;
        if room.sid.is_empty() {
            return Err(Error::Garbled("a room without sid".to_owned()));
        }
        Ok(Room {
            sid: room.sid,
            name: room.name,
        })
    }

    /// Deletes a room and disconnects everyone in it. A missing room is no error.
    #[instrument(skip_all, fields(room = %room_without_caller(room)), err)]
    pub async fn delete_room(&self, room: &str) -> Result<(), Error> {
        let grants = VideoGrants {
            room_create: true,
            ..VideoGrants::default()
        };
        let body = proto::DeleteRoomRequest {
            room: room.to_owned(),
        };
        let deleted: Result<proto::DeleteRoomResponse, _> =
            self.call(ROOMS, "DeleteRoom", grants.clone(), &body).await;
        match deleted {
            Err(Error::Refused { status: 503, .. }) => {
                // After a crash LiveKit may list a room that no node has: it can be deleted only once it is
                // created again.
                let again = proto::CreateRoomRequest {
                    name: room.to_owned(),
                    ..proto::CreateRoomRequest::default()
                };
                let _: proto::Room = self
                    .call(ROOMS, "CreateRoom", grants.clone(), &again)
                    .await?;
                let _: proto::DeleteRoomResponse =
                    self.call(ROOMS, "DeleteRoom", grants, &body).await?;
                Ok(())
            }
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// The rooms with these names, or all rooms.
    #[instrument(skip_all, err)]
    pub async fn list_rooms(&self, names: Vec<String>) -> Result<Vec<Room>, Error> {
        let grants = VideoGrants {
            room_list: true,
            ..VideoGrants::default()
        };
        let body = proto::ListRoomsRequest { names };
        let answer: proto::ListRoomsResponse = self.call(ROOMS, "ListRooms", grants, &body).await?;
        let rooms = answer.rooms.into_iter().map(|room| Room {
            sid: room.sid,
            name: storable::text(room.name),
        });
        Ok(rooms.collect())
    }

    /// The participants who have joined the room; empty if there is no room. One that is still joining is not among
    /// them: if it is removed at that moment, LiveKit goes on showing it as joining for as long as the room exists, and
    /// can neither remove it again nor connect it.
    #[instrument(skip_all, fields(room = %room_without_caller(room)), err)]
    pub async fn list_participants(&self, room: &str) -> Result<Vec<Participant>, Error> {
        let body = proto::ListParticipantsRequest {
            room: room.to_owned(),
        };
        let answer: proto::ListParticipantsResponse = self
            .call(ROOMS, "ListParticipants", room_admin(room), &body)
            .await?;
        let is_present = |participant: &proto::ParticipantInfo| {
            participant.state() == proto::participant_info::State::Active
        };
        let present = answer.participants.into_iter().filter(is_present);
        Ok(present.map(participant).collect())
    }

    /// Removes a participant. A missing one is no error.
    #[instrument(skip_all, fields(room = %room_without_caller(room)), err)]
    pub async fn remove_participant(&self, room: &str, identity: &str) -> Result<(), Error> {
        let body = proto::RoomParticipantIdentity {
            room: room.to_owned(),
            identity: identity.to_owned(),
            ..proto::RoomParticipantIdentity::default()
        };
        let removed: Result<proto::RemoveParticipantResponse, _> = self
            .call(ROOMS, "RemoveParticipant", room_admin(room), &body)
            .await;
        match removed {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Dispatches an agent into a room. NOT idempotent, and it creates a missing room: check first.
    #[instrument(skip_all, fields(room = %room_without_caller(room)), err)]
    pub async fn create_dispatch(
        &self,
        room: &str,
        agent_name: &str,
        metadata: &str,
    ) -> Result<Dispatch, Error> {
        let body = proto::CreateAgentDispatchRequest {
            agent_name: agent_name.to_owned(),
            room: room.to_owned(),
            metadata: metadata.to_owned(),
            ..proto::CreateAgentDispatchRequest::default()
        };
        let made: proto::AgentDispatch = self
            .call(DISPATCHES, "CreateDispatch", room_admin(room), &body)
            .await?;
        if made.id.is_empty() {
            return Err(Error::Garbled("a dispatch without id".to_owned()));
        }
        Ok(dispatch(made))
    }

    /// The dispatches of an existing room (for a missing one LiveKit fails only after 3 s).
    #[instrument(skip_all, fields(room = %room_without_caller(room)), err)]
    pub async fn list_dispatches(&self, room: &str) -> Result<Vec<Dispatch>, Error> {
        let body = proto::ListAgentDispatchRequest {
            room: room.to_owned(),
            ..proto::ListAgentDispatchRequest::default()
        };
        let answer: proto::ListAgentDispatchResponse = self
            .call(DISPATCHES, "ListDispatch", room_admin(room), &body)
            .await?;
        Ok(answer.agent_dispatches.into_iter().map(dispatch).collect())
    }
}

/// A room's name without the caller, for logs: LiveKit names the room of a call `<prefix>_<caller>_<random>`. A
/// caller may have any name, so everything between the first and the last `_` is removed.
pub fn room_without_caller(name: &str) -> Cow<'_, str> {
    match (name.split_once('_'), name.rsplit_once('_')) {
        (Some((prefix, rest)), Some((_, random))) if rest != random => {
            format!("{prefix}_…_{random}").into()
        }
        // A rule without a random suffix, or a room of another installation.
        (Some((prefix, _)), _) => format!("{prefix}_…").into(),
        _ => name.into(),
    }
}

fn room_admin(room: &str) -> VideoGrants {
    VideoGrants {
        room_admin: true,
        room: room.to_owned(),
        ..VideoGrants::default()
    }
}

fn participant(info: proto::ParticipantInfo) -> Participant {
    let kind = match info.kind() {
        proto::participant_info::Kind::Standard => ParticipantKind::Standard,
        proto::participant_info::Kind::Agent => ParticipantKind::Agent,
        proto::participant_info::Kind::Sip => ParticipantKind::Sip,
        _ => ParticipantKind::Other,
    };
    Participant {
        joined_at: DateTime::from_timestamp(info.joined_at, 0).filter(|_| info.joined_at > 0),
        kind,
        sid: info.sid,
        identity: storable::text(info.identity),
        name: storable::text(info.name),
        attributes: storable::attributes(info.attributes),
    }
}

fn dispatch(made: proto::AgentDispatch) -> Dispatch {
    let is_open = |job: &proto::Job| {
        let status = job.state.as_ref().map(proto::JobState::status);
        !matches!(
            status,
            Some(proto::JobStatus::JsSuccess | proto::JobStatus::JsFailed)
        )
    };
    Dispatch {
        is_taken: made
            .state
            .is_some_and(|state| state.jobs.iter().any(is_open)),
        id: made.id,
        metadata: made.metadata,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_told_without_its_caller() {
        for (name, logged) in [
            ("dev-s-0199a2f0", "dev-s-0199a2f0"),
            ("dev-in-0199a2f0_+4930777777_x7Kd", "dev-in-0199a2f0_…_x7Kd"),
            (
                "dev-in-0199a2f0_ada_lovelace_x7Kd",
                "dev-in-0199a2f0_…_x7Kd",
            ),
            ("dev-in-0199a2f0_+4930777777", "dev-in-0199a2f0_…"),
            ("a__b", "a_…_b"),
        ] {
            assert_eq!(room_without_caller(name), logged);
        }
    }
}
