//! The words of an enum, as serde knows them: typed once, in the library that defines it.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Parses the words of an enum without data, and offers them in help and completions.
pub(crate) fn words<T: DeserializeOwned + Clone + Send + Sync + 'static>() -> impl TypedValueParser<Value = T> {
    let read = |word: String| T::deserialize(IntoDeserializer::<Error>::into_deserializer(word));
    PossibleValuesParser::new(names::<T>()).try_map(read)
}

/// The names of an enum's variants or of a struct's fields.
pub(crate) fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // Always an error, by the time of which the names are known.
    T::deserialize(Names(&mut names)).err();
    names
}

/// Takes note of the names and gives no value.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = variants;
        Err(Error::custom("only the names"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("only the names"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("only the names"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attar_learn::config::Activation;

    #[test]
    fn the_words_are_those_of_the_library() {
        assert_eq!(names::<Activation>(), ["identity", "relu", "gelu", "tanh", "silu"]);
        assert_eq!(names::<attar_data::Categorical>(), ["one-hot", "drop"]);
    }
}
