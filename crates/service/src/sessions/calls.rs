//! The calls of a session, and how observations of their SIP participants change them.

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

/// The SIP participant's attribute that holds the status of its call.
const CALL_STATUS: &str = "sip.callStatus";

impl SessionAggregate {
    /// The calls that are not over, as the input of the next step.
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

    /// Counts the calls that are being dialled and whose SIP participant has not joined yet, except the primary
    /// one.
    pub(super) fn count_dialing(&self) -> usize {
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

    /// Updates fields of a call other than its state.
    pub fn update_call(&mut self, id: CallId, work: impl FnOnce(&mut Call)) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == id) {
            work(call);
        }
    }

    /// Applies an event to every call.
    pub(super) fn apply_to_calls(&mut self, event: &CallEvent) {
        let now = self.clock.now();
        for id in self.calls.iter().map(|call| call.id).collect::<Vec<_>>() {
            self.apply_to_call(id, event, now);
        }
    }

    /// Applies an event that happened at `at` to a call. The end of the primary call stops the session.
    pub fn apply_to_call(&mut self, id: CallId, event: &CallEvent, at: DateTime<Utc>) {
        let now = self.clock.now();
        let Some(call) = self.calls.iter_mut().find(|call| call.id == id) else {
            return;
        };
        let before = call.state;
        if before.is_terminal() {
            return;
        }
        let progress = Progress {
            direction: call.direction,
            state: before,
            reason: None,
            hangup_by: None,
            left: call.left_reason.clone(),
            awaited: call.awaited_until.is_some_and(|until| now < until),
        };
        let after = progress.after(event);
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
            .push(Event::new(verb, "call", id, Some(&old), Some(&new)));
        let is_active = self.session.state.is_active();
        if primary && after.state.is_terminal() && is_active {
            self.enter(SessionState::Stopping, reason.as_deref());
        }
    }

    fn call_of(&self, observed: &ObservedParticipant<'_>) -> Option<CallId> {
        if observed.kind != ParticipantKind::Sip {
            return None;
        }
        let mut calls = self.calls.iter();
        let call = calls.find(|call| call.identity == observed.identity)?;
        Some(call.id)
    }

    /// Records that a call's SIP participant is in the room.
    pub(super) fn record_sip_participant_present(
        &mut self,
        observed: &ObservedParticipant<'_>,
        at: DateTime<Utc>,
    ) {
        let Some(id) = self.call_of(observed) else {
            return;
        };
        self.update_call(id, |call| {
            call.missing_since = None;
            if let Some(sip_call) = observed.attributes.get("sip.callID") {
                call.sip_call_id.get_or_insert_with(|| sip_call.clone());
            }
        });
        let event = match observed
            .attributes
            .get(CALL_STATUS)
            .map_or("", |status| status)
        {
            "ringing" => CallEvent::Ringing,
            "active" | "automation" => CallEvent::Answered,
            "hangup" => CallEvent::Left("CLIENT_INITIATED".to_owned()),
            _ => return,
        };
        self.apply_to_call(id, &event, at);
    }

    /// Records that a call's SIP participant has left the room.
    pub(super) fn record_sip_participant_left(
        &mut self,
        observed: &ObservedParticipant<'_>,
        at: DateTime<Utc>,
        reason: &str,
    ) {
        if let Some(id) = self.call_of(observed) {
            self.apply_to_call(id, &CallEvent::Left(reason.to_owned()), at);
        }
    }

    /// Records since when the SIP participants of live calls have been missing from the room.
    pub(super) fn record_missing_calls(
        &mut self,
        present: &[ObservedParticipant<'_>],
        at: DateTime<Utc>,
    ) {
        for call in &mut self.calls {
            let expected = call.sent_at.is_some() || call.direction == Direction::Inbound;
            let is_present = present
                .iter()
                .any(|observed| observed.identity == call.identity);
            if call.state.is_live() && expected && !is_present {
                call.missing_since.get_or_insert(at);
            }
        }
    }

    /// Whether this is the SIP participant of a call that is over.
    pub(super) fn is_of_ended_call(&self, observed: &ObservedParticipant<'_>) -> bool {
        let call = self.call_of(observed).and_then(|id| self.call(id));
        call.is_some_and(|call| call.state.is_terminal())
    }
}

/// Stores the outcome of an event in the call's row.
fn apply(call: &mut Call, after: &Progress, event: &CallEvent, at: DateTime<Utc>) {
    // Webhook times are whole seconds; without this, a later event could get an earlier time.
    let earlier = [call.dialing_at, call.ringing_at, call.answered_at];
    let at = earlier
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
