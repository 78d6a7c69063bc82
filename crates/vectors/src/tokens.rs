//! How long a text is for a model.

use crate::Result;

/// Counts tokens: as the local model's tokenizer does, or roughly where there is none.
pub enum TokenCounter {
    /// By the tokenizer of a local model.
    #[cfg(feature = "local")]
    Exact(Box<tokenizers::Tokenizer>),
    /// Four bytes each: near enough for texts of European languages.
    Rough,
}

impl TokenCounter {
    /// The counter of the model in this directory.
    #[cfg(feature = "local")]
    pub fn of_model(folder: &std::path::Path) -> Result<Self> {
        let mut tokenizer = crate::local::tokenizer(folder)?;
        // What is cut off or filled up is not counted.
        tokenizer.with_padding(None);
        let cut = tokenizer.with_truncation(None);
        cut.map_err(|error| crate::Error::Refused(error.to_string()))?;
        Ok(Self::Exact(Box::new(tokenizer)))
    }

    /// The counter of a model that was not built in.
    #[cfg(not(feature = "local"))]
    pub fn of_model(_: &std::path::Path) -> Result<Self> {
        Ok(Self::Rough)
    }

    /// How many tokens a text has, at least.
    pub fn count(&self, text: &str) -> usize {
        // A long run without blanks is one unknown word for a tokenizer; it must not count as one.
        let least = text.len() / 12;
        match self {
            #[cfg(feature = "local")]
            Self::Exact(tokenizer) => {
                let encoded = tokenizer.encode_fast(text, false);
                encoded.map_or(least, |encoded| encoded.len()).max(least)
            }
            Self::Rough => text.len().div_ceil(4),
        }
    }
}
