//! What the service must know of the settings.

use std::path::PathBuf;

use patchbay_service::settings::{
    JobSettings, KnowledgeSettings as OfKnowledge, Retention, RoomSettings, Settings as OfService,
};

use super::{KnowledgeSettings, Settings};

impl Settings {
    /// The service's part.
    pub fn of_service(&self) -> OfService {
        OfService {
            env: self.env.clone(),
            timings: self.timings(),
            rooms: RoomSettings {
                empty_timeout: self.room_empty_timeout.seconds(),
                departure_timeout: self.room_departure_timeout.seconds(),
                max_participants: self.max_participants,
            },
            jobs: JobSettings {
                poll: self.job_poll.into(),
                lease: self.job_lease.into(),
            },
            retention: Retention {
                idempotency: self.idempotency_retention.into(),
                webhooks: self.webhook_retention.into(),
                purge_interval: self.purge_interval.into(),
            },
            start_wait: self.start_wait.into(),
            request_timeout: self.request_timeout.into(),
            livekit_timeout: self.livekit_timeout.into(),
            livekit_public_url: self.public_url().to_owned(),
            call_limits: self.call_limits,
            session_limit: self.session_limit,
            outbound_allow: self.outbound_allow.clone(),
            knowledge: self.knowledge.of_service(),
            #[cfg(feature = "fault-injection")]
            crash_at: self.crash_at.clone(),
        }
    }
}

impl KnowledgeSettings {
    fn of_service(&self) -> OfKnowledge {
        OfKnowledge {
            upload_limit: self.upload_limit,
            upload_timeout: self.upload_timeout.into(),
            ingest_parallel: self.ingest_parallel,
            extractor: self.program(),
            extract_timeout: self.extract_timeout.into(),
            extract_memory: self.extract_memory,
            model_directory: self.embedding_directory.clone(),
            chunk_tokens: self.chunk_tokens,
            chunk_overlap: self.chunk_overlap,
            search_exact_chunks: self.index.search_exact_chunks,
        }
    }

    /// The program that gets the text out of files: this one, also where its file was replaced since.
    pub fn program(&self) -> PathBuf {
        let this = || PathBuf::from("/proc/self/exe");
        self.extractor.clone().unwrap_or_else(this)
    }
}
