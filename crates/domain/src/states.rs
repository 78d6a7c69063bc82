//! Kinds and states of entities that several crates share.

use crate::words::words;

words! {
    /// Kind of a job.
    pub enum JobKind {
        /// Compare a session with LiveKit and take its next steps.
        Session = "session",
        /// Find rooms of this installation in LiveKit whose session has ended.
        RoomSweep = "room_sweep",
        /// Sync a SIP trunk or inbound mapping to LiveKit.
        SipObject = "sip_object",
        /// Find SIP objects that LiveKit has lost, and objects of this installation that it should not have.
        SipSweep = "sip_sweep",
        /// Make a file searchable.
        Ingest = "ingest",
        /// Bring the object store in line with the recorded state of an object.
        Object = "object",
        /// Compare the whole object store with the recorded objects.
        ObjectSweep = "object_sweep",
        /// Delete data past its retention period.
        Purge = "purge",
        /// Erase records past the days for which operator and tenant keep them.
        Retention = "retention",
    }
}

impl JobKind {
    /// Number of attempts in a row after which a job that keeps failing is dead. With the longest delay between two
    /// attempts, 1,000 are about four hours. A session's job gets ten times as many, because it also enforces deadlines.
    /// Jobs of the installation itself have no bound, because nothing would schedule them again.
    pub const fn max_attempts(self) -> i32 {
        match self {
            Self::Session => 10_000,
            Self::SipObject | Self::Ingest | Self::Object => 1_000,
            Self::RoomSweep
            | Self::SipSweep
            | Self::ObjectSweep
            | Self::Purge
            | Self::Retention => i32::MAX,
        }
    }
}

words! {
    /// Kind of an actor, which sends requests or makes changes.
    pub enum ActorKind {
        /// A tenant's API key.
        ApiKey = "api_key",
        /// The operator's key.
        Operator = "operator",
        /// The key of the installation's workers.
        Worker = "worker",
        /// Patchbay itself.
        System = "system",
    }
}

words! {
    /// What a job does at the moment.
    pub enum JobState {
        /// It is to run at its time.
        Waiting = "waiting",
        /// A process runs it.
        Running = "running",
        /// It has failed for good.
        Dead = "dead",
    }
}

words! {
    /// Kind of a participant.
    pub enum ParticipantKind {
        /// A person, or a client that acts for one.
        Standard = "standard",
        /// An agent.
        Agent = "agent",
        /// A phone, over SIP.
        Sip = "sip",
        /// Anything else, such as a recorder.
        Other = "other",
    }
}

words! {
    /// Whether LiveKit has the current state of a SIP trunk or an inbound mapping.
    pub enum SyncState {
        /// A change is about to be synced.
        Pending = "pending",
        /// LiveKit has its current state.
        Synced = "synced",
        /// The sync failed; it is retried.
        Failed = "failed",
    }
}

words! {
    /// Kind of an object that is synced to LiveKit's SIP service.
    pub enum SipObjectKind {
        /// An outbound trunk.
        Trunk = "trunk",
        /// An inbound mapping: an inbound trunk and a dispatch rule.
        Mapping = "mapping",
    }
}

words! {
    /// State of an object in the store.
    pub enum ObjectState {
        /// It is being uploaded.
        Uploading = "uploading",
        /// It is stored; files may refer to it.
        Stored = "stored",
        /// It is to be deleted from the store.
        Deleting = "doomed",
    }
}

words! {
    /// Whether a tenant may use the API.
    pub enum TenantStatus {
        /// It may.
        Active = "active",
        /// Its keys are refused; its live sessions finish.
        Suspended = "suspended",
    }
}

words! {
    /// What the holder of a join token may do in the room.
    #[derive(Default)]
    pub enum TokenRole {
        /// Speaks and listens.
        #[default]
        User = "user",
        /// Listens, hidden from the others.
        Observer = "observer",
        /// Speaks and listens beside the user.
        Supervisor = "supervisor",
    }
}
