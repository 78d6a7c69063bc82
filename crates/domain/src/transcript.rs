//! Who speaks in a conversation, and what providers are used for.

use crate::words::words;

words! {
    /// Who spoke.
    pub enum TurnRole {
        /// Somebody who called or joined.
        User = "user",
        /// The agent.
        Agent = "agent",
        /// The worker itself, such as a note that a tool was used.
        System = "system",
    }
}

words! {
    /// What a provider was used for.
    pub enum UsageKind {
        /// A language model: tokens.
        Llm = "llm",
        /// Speech to text: seconds of audio.
        Stt = "stt",
        /// Text to speech: characters.
        Tts = "tts",
    }
}
