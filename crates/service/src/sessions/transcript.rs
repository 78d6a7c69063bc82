//! Transcript turns and usage of a session, which its workers report during the session and after its end.

use patchbay_domain::SessionId;
use patchbay_persistence::{sessions, transcripts, usage};

use crate::{Error, Result, UnitOfWork};

/// Appends transcript turns, whose ids are made once the session is locked; returns how many were new.
pub async fn append_turns(
    unit: &mut UnitOfWork,
    session: SessionId,
    turns: &mut [transcripts::Turn],
) -> Result<usize> {
    require_reportable(unit, session).await?;
    for turn in turns.iter_mut() {
        turn.id = unit.clock().new_id();
    }
    Ok(transcripts::append(unit, turns).await?)
}

/// Appends usage amounts; returns how many were new.
pub async fn append_usage(
    unit: &mut UnitOfWork,
    session: SessionId,
    amounts: &[usage::Usage],
) -> Result<usize> {
    require_reportable(unit, session).await?;
    Ok(usage::append(unit, amounts).await?)
}

/// Locks the session, on which its workers may report.
async fn require_reportable(unit: &mut UnitOfWork, session: SessionId) -> Result<()> {
    let state = sessions::lock_for_append(unit, session).await?;
    let state = state.ok_or_else(Error::not_found)?;
    unit.origin().require_live_if_suspended(state.is_live())
}
