//! Token counts.

use crate::Result;

/// Counts tokens: with the local model's tokenizer, or approximately if there is none.
pub enum TokenCounter {
    /// By the tokenizer of a local model.
    #[cfg(feature = "local")]
    Exact(Box<tokenizers::Tokenizer>),
    /// Four bytes each: a good estimate for texts in European languages.
    Rough,
}

impl TokenCounter {
    /// The counter of the model in this directory.
    #[cfg(feature = "local")]
    pub fn of_model(folder: &std::path::Path) -> Result<Self> {
        let mut tokenizer = crate::local::tokenizer(folder)?;
        // Truncation and padding would change the count.
        tokenizer.with_padding(None);
        let cut = tokenizer.with_truncation(None);
        cut.map_err(|error| crate::Error::Refused(error.to_string()))?;
        Ok(Self::Exact(Box::new(tokenizer)))
    }

    /// The counter of a build without local models.
    #[cfg(not(feature = "local"))]
    pub fn of_model(_: &std::path::Path) -> Result<Self> {
        Ok(Self::Rough)
    }

    /// The minimum number of tokens of a text.
    pub fn count(&self, text: &str) -> usize {
        match self {
            #[cfg(feature = "local")]
            Self::Exact(tokenizer) => {
                // A long run without blanks is one unknown word for a tokenizer; it must not count as one token.
                let least = text.len() / 12;
                let encoded = tokenizer.encode_fast(text, false);
                encoded.map_or(least, |encoded| encoded.len()).max(least)
            }
            Self::Rough => text.len().div_ceil(4),
        }
    }
}
