//! A result in one pass: while its own fields are read, those of the head are put aside. Whatever is not as it should
//! be ends this without a word: the slower way finds out what it is.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::{Text, check_head, check_result};
use crate::VERSION;
use crate::record::{CheckResult, Content, Record};

/// The record, if it is a result without fault.
pub(super) fn read(message: &[u8]) -> Option<Record> {
    let Whole { head, result } = serde_json::from_slice(message).ok()?;
    let (epoch, seq, agent) = (head.epoch?, head.seq?, head.agent?);
    let is_result = head.is_known_version && head.is_result;
    check_head(seq, &agent).ok()?;
    check_result(&result).ok()?;
    is_result.then_some(Record { epoch, seq, agent, content: Content::Result(result) })
}

struct Whole {
    head: Head,
    result: Box<CheckResult>,
}

#[derive(Default)]
struct Head {
    epoch: Option<Uuid>,
    seq: Option<u64>,
    agent: Option<String>,
    is_known_version: bool,
    is_result: bool,
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Whole, D::Error> {
        struct Message;
        impl<'de> Visitor<'de> for Message {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Whole, M::Error> {
                let mut head = Head::default();
                let rest = Rest { map, head: &mut head };
                let result = Box::new(CheckResult::deserialize(MapAccessDeserializer::new(rest))?);
                Ok(Whole { head, result })
            }
        }
        deserializer.deserialize_map(Message)
    }
}

/// The fields of a message without those of its head.
struct Rest<'h, M> {
    map: M,
    head: &'h mut Head,
}

impl<'de, M: MapAccess<'de>> MapAccess<'de> for Rest<'_, M> {
    type Error = M::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, M::Error> {
        while let Some(Text(key)) = self.map.next_key()? {
            let is_first = match &*key {
                "epoch" => self.head.epoch.replace(self.map.next_value()?).is_none(),
                "seq" => self.head.seq.replace(self.map.next_value()?).is_none(),
                "agent" => self.head.agent.replace(self.map.next_value()?).is_none(),
                "v" if self.map.next_value::<u32>()? == VERSION => {
                    !std::mem::replace(&mut self.head.is_known_version, true)
                }
                "kind" if self.map.next_value::<Text<'_>>()?.0 == "result" => {
                    !std::mem::replace(&mut self.head.is_result, true)
                }
                "v" | "kind" => false,
                _ => return seed.deserialize(key.into_deserializer()).map(Some),
            };
            if !is_first {
                return Err(M::Error::custom("no result of this version"));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, M::Error> {
        self.map.next_value_seed(seed)
    }
}
