//! Reads a result as agents of this version write it: the encoder's fields in the encoder's order, and nothing between
//! them. That needs no general parser, and the texts are borrowed from the message. A message of any other form gives
//! none without a reason, and the general way of reading finds the reason.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;
use uuid::Uuid;

use super::{check_head, check_result};
use crate::record::{Certificate, CheckResult, Content, Outcome, Phases, Record};

/// Returns the record, if the message is a result without a fault that is written in this way.
pub(super) fn read(message: &[u8]) -> Option<Record<Cow<'_, str>>> {
    // JSON has no control characters except white space, and the encoder writes no white space.
    if message.iter().any(|byte| *byte < b' ') {
        return None;
    }
    let mut rest = Rest(std::str::from_utf8(message).ok()?);
    rest.take("{\"epoch\":\"")?;
    let epoch = rest.epoch()?;
    rest.take("\",\"seq\":")?;
    let seq = rest.number()?;
    rest.take(",\"v\":1,\"kind\":\"result\",\"agent\":")?;
    let agent = rest.text()?;
    let result = rest.result()?;
    check_head(seq, &agent).ok()?;
    check_result(&result).ok()?;
    rest.0.is_empty().then_some(Record { epoch, seq, agent, content: Content::Result(result) })
}

/// The part of the message that is still to be read.
struct Rest<'m>(&'m str);

impl<'m> Rest<'m> {
    fn result(&mut self) -> Option<Box<CheckResult<Cow<'m, str>>>> {
        let result = Box::new(CheckResult {
            monitor: self.field(",\"monitor\":", Rest::text)?,
            name: self.field(",\"name\":", Rest::text)?,
            url: self.field(",\"url\":", Rest::text)?,
            pattern: self.optional(",\"pattern\":", Rest::text)?,
            scheduled_at: self.field(",\"scheduled_at\":", Rest::time)?,
            checked_at: self.field(",\"checked_at\":", Rest::time)?,
            outcome: self.field(",\"outcome\":", Rest::outcome)?,
            status_code: self.optional(",\"status_code\":", Rest::small)?,
            reason: self.optional(",\"reason\":", Rest::text)?,
            response_time_us: self.optional(",\"response_time_us\":", Rest::number)?,
            phases: self.optional(",\"phases\":", Rest::phases)?.unwrap_or_default(),
            peer: self.optional(",\"peer\":", Rest::text)?,
            redirects: self.optional(",\"redirects\":", Rest::small)?,
            pattern_matched: self.optional(",\"pattern_matched\":", Rest::flag)?,
            certificate: self.optional(",\"certificate\":", Rest::certificate)?,
            body_bytes: self.optional(",\"body_bytes\":", Rest::number)?,
            truncated: self.optional(",\"truncated\":", Rest::flag)?,
            attempts: self.optional(",\"attempts\":", Rest::small)?.unwrap_or(1),
            tags: self.optional(",\"tags\":", Rest::tags)?.unwrap_or_default(),
            error: self.optional(",\"error\":", Rest::text)?,
        });
        self.take("}")?;
        Some(result)
    }

    fn certificate(&mut self) -> Option<Certificate<Cow<'m, str>>> {
        let certificate = Certificate {
            not_after: self.field("{\"not_after\":", Rest::time)?,
            subject: self.field(",\"subject\":", Rest::text)?,
            issuer: self.field(",\"issuer\":", Rest::text)?,
            first_end: self.optional(",\"first_end\":", Rest::time)?,
            fault: self.optional(",\"fault\":", Rest::text)?,
            faults: self.optional(",\"faults\":", Rest::texts)?.unwrap_or_default(),
        };
        self.take("}")?;
        Some(certificate)
    }

    fn phases(&mut self) -> Option<Phases> {
        self.take("{")?;
        let mut phases = Phases::default();
        let mut comma = "";
        for (name, phase) in [
            ("\"dns\":", &mut phases.dns),
            ("\"connect\":", &mut phases.connect),
            ("\"tls\":", &mut phases.tls),
            ("\"first_byte\":", &mut phases.first_byte),
            ("\"body\":", &mut phases.body),
        ] {
            if let Some(rest) = self.0.strip_prefix(comma).and_then(|rest| rest.strip_prefix(name)) {
                self.0 = rest;
                *phase = Some(self.number()?);
                comma = ",";
            }
        }
        self.take("}")?;
        Some(phases)
    }

    fn texts(&mut self) -> Option<Vec<Cow<'m, str>>> {
        let mut texts = vec![self.field("[", Rest::text)?];
        while !self.has("]") {
            texts.push(self.field(",", Rest::text)?);
        }
        Some(texts)
    }

    fn tags(&mut self) -> Option<BTreeMap<Cow<'m, str>, Cow<'m, str>>> {
        let mut tags = BTreeMap::from([(self.field("{", Rest::text)?, self.field(":", Rest::text)?)]);
        while !self.has("}") {
            tags.insert(self.field(",", Rest::text)?, self.field(":", Rest::text)?);
        }
        Some(tags)
    }

    fn field<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.take(name)?;
        read(self)
    }

    fn optional<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.has(name) { read(self).map(Some) } else { Some(None) }
    }

    fn take(&mut self, expected: &str) -> Option<()> {
        self.has(expected).then_some(())
    }

    fn has(&mut self, expected: &str) -> bool {
        let rest = self.0.strip_prefix(expected);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn text(&mut self) -> Option<Cow<'m, str>> {
        let rest = self.0.strip_prefix('"')?;
        let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (text, rest) = rest.split_at(end);
        let Some(rest) = rest.strip_prefix('"') else { return self.escaped() };
        self.0 = rest;
        Some(Cow::Borrowed(text))
    }

    fn escaped(&mut self) -> Option<Cow<'m, str>> {
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter::<String>();
        let text = values.next()?.ok()?;
        self.0 = &self.0[values.byte_offset()..];
        Some(Cow::Owned(text))
    }

    fn number(&mut self) -> Option<u64> {
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        // A number of JSON has no zero in front.
        if digits.len() > 1 && digits.starts_with('0') { None } else { digits.parse().ok() }
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    fn flag(&mut self) -> Option<bool> {
        if self.has("true") { Some(true) } else { self.has("false").then_some(false) }
    }

    fn outcome(&mut self) -> Option<Outcome> {
        let word = self.text()?;
        Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }

    fn epoch(&mut self) -> Option<Uuid> {
        let (epoch, rest) = self.0.split_at_checked(36)?;
        self.0 = rest;
        Uuid::try_parse(epoch).ok()
    }

    /// Reads a time such as `"2026-11-22T10:00:00.001234Z"`.
    fn time(&mut self) -> Option<Timestamp> {
        let (text, rest) = self.0.as_bytes().split_first_chunk()?;
        let &[
            b'"',
            y1,
            y2,
            y3,
            y4,
            b'-',
            mo1,
            mo2,
            b'-',
            d1,
            d2,
            b'T',
            h1,
            h2,
            b':',
            mi1,
            mi2,
            b':',
            s1,
            s2,
            b'.',
            ref us @ ..,
            b'Z',
            b'"',
        ]: &[u8; 29] = text
        else {
            return None;
        };
        self.0 = &self.0[self.0.len() - rest.len()..];
        let date = Date::new(i16::try_from(digits(&[y1, y2, y3, y4])?).ok()?, pair(mo1, mo2)?, pair(d1, d2)?).ok()?;
        let time = Time::new(pair(h1, h2)?, pair(mi1, mi2)?, pair(s1, s2)?, digits(us)? * 1_000).ok()?;
        Offset::UTC.to_timestamp(date.to_datetime(time)).ok()
    }
}

fn pair(tens: u8, ones: u8) -> Option<i8> {
    i8::try_from(digits(&[tens, ones])?).ok()
}

fn digits(text: &[u8]) -> Option<i32> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i32::from(byte - b'0')))
}
