//! Roles of a transcript's turns, and kinds of usage.

use crate::words::words;

words! {
    /// Role of the speaker.
    pub enum TurnRole {
        /// A user who called or joined.
        User = "user",
        /// The agent.
        Agent = "agent",
        /// The worker itself, such as a note that a tool was used.
        System = "system",
    }
}

words! {
    /// Kind of usage.
    pub enum UsageKind {
        /// A language model: tokens.
        Llm = "llm",
        /// Speech to text: seconds of audio.
        Stt = "stt",
        /// Text to speech: characters.
        Tts = "tts",
    }
}
