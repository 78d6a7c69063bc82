//! The calls of a session: what is seen of their telephones, and what that means for them.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{
    CallId,
    call::{CallEvent, CallState, Direction, Progress},
    session::{CallView, SessionState},
    states::ParticipantKind,
};
use patchbay_persistence::calls::Call;
use serde_json::json;

use super::{aggregate::SessionAggregate, observed::ObservedParticipant};
use crate::audit::Event;

/// The attribute that says how a call stands.
const STATUS: &str = "sip.callStatus";

impl SessionAggregate {
    /// The calls that are not over, as the next step sees them.
    pub(super) fn call_views(&self) -> Vec<CallView> {
        let open = self.calls.iter().filter(|call| !call.state.is_terminal());
        let view = |call: &Call| CallView {
            id: call.id,
            direction: call.direction,
            state: call.state,
            is_primary: call.is_primary,
            sent_at: call.sent_at,
            awaited_until: call.awaited_until,
            answered_at: call.answered_at,
            missing_since: call.missing_since,
            max_duration: TimeDelta::seconds(call.max_duration_seconds.into()),
        };
        open.map(view).collect()
    }

    /// How many telephones are being dialled and not there yet.
    pub(super) fn dialing(&self) -> usize {
        let dialing = |call: &&Call| call.state == CallState::Dialing && !call.is_primary;
        self.calls.iter().filter(dialing).count()
    }

    /// The call with this id.
    pub fn call(&self, id: CallId) -> Option<&Call> {
        self.calls.iter().find(|call| call.id == id)
    }

    /// Adds a call.
    pub fn add_call(&mut self, call: Call) {
        self.calls.push(call);
    }

    /// Changes what is recorded of a call beside its state.
    pub fn note_call(&mut self, id: CallId, work: impl FnOnce(&mut Call)) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == id) {
            work(call);
        }
    }

    /// Applies an event to all calls.
    pub(super) fn apply_to_calls(&mut self, event: &CallEvent) {
        let now = self.clock.now();
        for id in self.calls.iter().map(|call| call.id).collect::<Vec<_>>() {
            self.apply_to_call(id, event, now);
        }
    }

    /// Applies an event that happened at `at` to a call. The session that was made for it ends with it.
    pub fn apply_to_call(&mut self, id: CallId, event: &CallEvent, at: DateTime<Utc>) {
        let now = self.clock.now();
        let Some(call) = self.calls.iter_mut().find(|call| call.id == id) else {
            return;
        };
        let before = call.state;
        if before.is_terminal() {
            return;
        }
        let known = Progress {
            direction: call.direction,
            state: before,
            reason: None,
            hangup_by: None,
            left: call.left_reason.clone(),
            awaited: call.awaited_until.is_some_and(|until| now < until),
        };
        let after = known.after(event);
        apply(call, &after, event, at);
        if after.state == before {
            return;
        }
        call.revision += 1;
        let (primary, reason) = (call.is_primary, call.reason.clone());
        let (old, new) = (
            json!({ "state": before }),
            json!({ "state": call.state, "reason": reason }),
        );
        let verb = call.state.as_str();
        self.events
            .push(Event::of(verb, "call", id, Some(&old), Some(&new)));
        let running = matches!(
            self.session.state,
            SessionState::Starting | SessionState::Running
        );
        if primary && after.state.is_terminal() && running {
            self.enter(SessionState::Stopping, reason.as_deref());
        }
    }

    fn call_of(&self, seen: &ObservedParticipant<'_>) -> Option<CallId> {
        let mut calls = self.calls.iter();
        calls
            .find(|call| seen.kind == ParticipantKind::Sip && call.identity == seen.identity)
            .map(|call| call.id)
    }

    /// A telephone is in the room.
    pub(super) fn telephone_seen(&mut self, seen: &ObservedParticipant<'_>, at: DateTime<Utc>) {
        let Some(id) = self.call_of(seen) else { return };
        self.note_call(id, |call| {
            call.missing_since = None;
            if let Some(sip_call) = seen.attributes.get("sip.callID") {
                call.sip_call_id.get_or_insert_with(|| sip_call.clone());
            }
        });
        let event = match seen.attributes.get(STATUS).map_or("", |status| status) {
            "ringing" => CallEvent::Ringing,
            "active" | "automation" => CallEvent::Answered,
            "hangup" => CallEvent::Left("CLIENT_INITIATED".to_owned()),
            _ => return,
        };
        self.apply_to_call(id, &event, at);
    }

    /// A telephone left the room.
    pub(super) fn telephone_left(
        &mut self,
        seen: &ObservedParticipant<'_>,
        at: DateTime<Utc>,
        reason: &str,
    ) {
        if let Some(id) = self.call_of(seen) {
            self.apply_to_call(id, &CallEvent::Left(reason.to_owned()), at);
        }
    }

    /// Notes which telephones are not among those present.
    pub(super) fn telephones_missed(
        &mut self,
        present: &[ObservedParticipant<'_>],
        at: DateTime<Utc>,
    ) {
        for call in &mut self.calls {
            let expected = call.sent_at.is_some() || call.direction == Direction::Inbound;
            let is_here = present.iter().any(|seen| seen.identity == call.identity);
            if call.state.is_live() && expected && !is_here {
                call.missing_since.get_or_insert(at);
            }
        }
    }

    /// Whether this is a telephone whose call is over.
    pub(super) fn has_hung_up(&self, seen: &ObservedParticipant<'_>) -> bool {
        let call = self.call_of(seen).and_then(|id| self.call(id));
        call.is_some_and(|call| call.state.is_terminal())
    }
}

/// Records what follows from an event.
fn apply(call: &mut Call, after: &Progress, event: &CallEvent, at: DateTime<Utc>) {
    // Webhooks tell whole seconds; what comes later must not look earlier.
    let known = [call.dialing_at, call.ringing_at, call.answered_at];
    let at = known
        .into_iter()
        .flatten()
        .fold(at.max(call.created_at), Ord::max);
    call.left_reason.clone_from(&after.left);
    if !after.awaited {
        call.awaited_until = None;
    }
    match event {
        CallEvent::Started => call.dialing_at = Some(at),
        CallEvent::Ringing if after.state == CallState::Ringing => {
            call.ringing_at.get_or_insert(at);
        }
        CallEvent::Answered if call.state.is_live() => {
            call.answered_at.get_or_insert(at);
        }
        _ => {}
    }
    if after.state.is_terminal() {
        call.ended_at = Some(at);
        call.reason.clone_from(&after.reason);
        call.hangup_by = after.hangup_by;
    }
    call.state = after.state;
}
