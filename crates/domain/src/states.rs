//! Kinds and states of what is recorded, which several crates share.

use crate::words::words;

words! {
    /// What a job does with its subject.
    pub enum JobKind {
        /// Compare a session with LiveKit and take its next steps.
        Session = "session",
        /// Look for rooms of ours in LiveKit whose session is over.
        RoomSweep = "room_sweep",
        /// Compare a SIP trunk or inbound mapping with what LiveKit has of it.
        SipObject = "sip_object",
        /// Look for SIP objects that LiveKit has lost, and for some of ours that it should not have.
        SipSweep = "sip_sweep",
        /// Make a file searchable.
        Ingest = "ingest",
        /// Make true in the object store what is recorded of an object.
        Object = "object",
        /// Compare the object store with what is recorded.
        ObjectSweep = "object_sweep",
        /// Delete what has aged out.
        Purge = "purge",
    }
}

words! {
    /// What a participant of a room is.
    pub enum ParticipantKind {
        /// A person, or what acts for one.
        Standard = "standard",
        /// An agent.
        Agent = "agent",
        /// A telephone.
        Sip = "sip",
        /// Anything else, such as a recorder.
        Other = "other",
    }
}

words! {
    /// How far LiveKit has come with a SIP trunk or an inbound mapping.
    pub enum SyncState {
        /// A change is about to be synchronised.
        Pending = "pending",
        /// LiveKit has it as it is.
        Synced = "synced",
        /// It could not be synchronised; it is tried again.
        Failed = "failed",
    }
}

words! {
    /// What is synchronised into LiveKit's telephony.
    pub enum SipObjectKind {
        /// A trunk for calls out.
        Trunk = "trunk",
        /// An inbound mapping: a trunk and a dispatch rule.
        Mapping = "mapping",
    }
}

words! {
    /// How far an object in the store has come.
    pub enum ObjectState {
        /// Bytes are under way.
        Uploading = "uploading",
        /// It is there, for files to refer to.
        Stored = "stored",
        /// It is to be deleted from the store.
        Deleting = "doomed",
    }
}

words! {
    /// Whether a tenant may act.
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
        /// Listens, unseen by the others.
        Observer = "observer",
        /// Speaks and listens beside the user.
        Supervisor = "supervisor",
    }
}
