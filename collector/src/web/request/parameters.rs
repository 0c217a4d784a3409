//! The query of an address for programs. What is not understood is refused, so that a typing error never gets a
//! different answer.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::filter::PERIODS;
use crate::figures::period::Period;
use crate::web::failure::Failure;

/// The parameters of a query that were not read yet.
pub(in crate::web) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    pub(in crate::web) fn new(query: Option<&'a str>) -> Parameters<'a> {
        Parameters(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect())
    }

    /// Takes all values of a name.
    pub(in crate::web) fn all(&mut self, name: &str) -> Vec<Cow<'a, str>> {
        self.0.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// Takes the only value of a name.
    pub(in crate::web) fn one(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Failure> {
        let mut all = self.all(name);
        let one = all.pop();
        if all.is_empty() {
            Ok(one)
        } else {
            Err(Failure::bad_request(format!("`{name}` stands there more than once")))
        }
    }

    /// Takes the only value of a name as another type. `such` says what the value should be.
    pub(in crate::web) fn parse<T: FromStr>(&mut self, name: &str, such: &str) -> Result<Option<T>, Failure> {
        let wrong = |_| Failure::bad_request(format!("`{name}` should be {such}"));
        self.one(name)?.map(|value| value.parse().map_err(wrong)).transpose()
    }

    /// Takes a number within bounds.
    pub(in crate::web) fn number(
        &mut self,
        name: &str,
        within: RangeInclusive<usize>,
    ) -> Result<Option<usize>, Failure> {
        let such = format!("a whole number from {} to {}", within.start(), within.end());
        match self.parse(name, &such)? {
            Some(number) if !within.contains(&number) => {
                Err(Failure::bad_request(format!("`{name}` should be {such}")))
            }
            number => Ok(number),
        }
    }

    /// Takes the parameter `period`.
    pub(in crate::web) fn period(&mut self) -> Result<Option<Period>, Failure> {
        let Some(word) = self.one("period")? else { return Ok(None) };
        let found = PERIODS.iter().find(|(_, known, _)| *known == word).map(|(period, ..)| *period);
        found.map(Some).ok_or_else(|| Failure::bad_request("`period` should be 24h, 30d or 90d"))
    }

    /// Refuses parameters that were not read.
    pub(in crate::web) fn end(self) -> Result<(), Failure> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Failure::bad_request(format!("there is no parameter `{name}`"))),
        }
    }
}
