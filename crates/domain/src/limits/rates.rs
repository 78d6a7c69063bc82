//! Rate limits and limits of calls.

/// Class of a request for its rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reads.
    Reads,
    /// Changes.
    Writes,
    /// Requests that make LiveKit, a carrier or a tool's server work.
    Starts,
}

impl Class {
    /// The name in headers and settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Starts => "starts",
        }
    }
}

/// Requests per minute of each class; 0 for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Reads.
    pub reads: u32,
    /// Changes.
    pub writes: u32,
    /// Starts.
    pub starts: u32,
}

impl Rates {
    /// The rate of a class.
    pub const fn of(&self, class: Class) -> u32 {
        match class {
            Class::Reads => self.reads,
            Class::Writes => self.writes,
            Class::Starts => self.starts,
        }
    }
}

/// What a tenant's phone may do; 0 for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls at a time.
    pub concurrent: u32,
    /// Calls that begin in a minute.
    pub per_minute: u32,
    /// Longest call, in seconds from the answer on.
    pub seconds: u32,
}
