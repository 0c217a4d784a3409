//! Deals out no partitions in a group, as its leader.
//!
//! A client library deals out all partitions that it knows. So this speaks Kafka's protocol itself: JoinGroup in version 5 and
//! SyncGroup in version 3, the last versions with fields of plain lengths.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};

use super::Topic;

const JOIN_GROUP: i16 = 11;
const SYNC_GROUP: i16 = 14;
/// A group remembers a member for this time after it is gone, in milliseconds.
const SESSION: i32 = 300_000;

impl Topic {
    /// Leaves a group behind with one member, known by its `group.instance.id`, that has no partition of this topic. A consumer
    /// that comes under the same id gets what this member had.
    ///
    /// # Errors
    /// When the broker refuses something.
    pub fn deal_out_nothing(&self, group: &str, instance: &str) -> Result<()> {
        let mut broker = TcpStream::connect(&self.broker).context("the broker is away")?;
        let mut subscription = Request::default();
        subscription.i16(0).i32(1).text(self.name()).i32(-1);
        let mut join = Request::head(JOIN_GROUP, 5);
        join.text(group).i32(SESSION).i32(SESSION).text("").text(instance).text("consumer");
        join.i32(2);
        for protocol in ["range", "roundrobin"] {
            join.text(protocol).bytes(&subscription.0);
        }
        let mut joined = join.ask(&mut broker)?;
        joined.skip(4)?;
        let error = joined.i16()?;
        ensure!(error == 0, "the group does not take the member: error {error}");
        let generation = joined.i32()?;
        let (_protocol, leader, member) = (joined.text()?, joined.text()?, joined.text()?);
        ensure!(leader == member, "another member leads the group");

        let mut sync = Request::head(SYNC_GROUP, 3);
        sync.text(group).i32(generation).text(&member).text(instance).i32(1);
        sync.text(&member).bytes(&[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        let mut synced = sync.ask(&mut broker)?;
        synced.skip(4)?;
        let error = synced.i16()?;
        ensure!(error == 0, "the group does not take the assignment: error {error}");
        Ok(())
    }
}

#[derive(Default)]
struct Request(Vec<u8>);

impl Request {
    fn head(key: i16, version: i16) -> Request {
        let mut request = Request::default();
        request.i16(key).i16(version).i32(0).text("test");
        request
    }

    fn i16(&mut self, number: i16) -> &mut Request {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn i32(&mut self, number: i32) -> &mut Request {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Request {
        self.i16(i16::try_from(text.len()).expect("a short text"));
        self.0.extend(text.as_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Request {
        self.i32(i32::try_from(bytes.len()).expect("few bytes"));
        self.0.extend(bytes);
        self
    }

    fn ask(self, broker: &mut TcpStream) -> Result<Response> {
        let mut framed = Request::default();
        framed.bytes(&self.0);
        broker.write_all(&framed.0)?;
        let mut length = [0; 4];
        broker.read_exact(&mut length)?;
        let mut response = vec![0; usize::try_from(i32::from_be_bytes(length))?];
        broker.read_exact(&mut response)?;
        let mut response = Response(response.into());
        // The number of the request.
        response.skip(4)?;
        Ok(response)
    }
}

struct Response(std::collections::VecDeque<u8>);

impl Response {
    fn skip(&mut self, count: usize) -> Result<Vec<u8>> {
        ensure!(self.0.len() >= count, "the response ends too early");
        Ok(self.0.drain(..count).collect())
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.skip(2)?.try_into().expect("two bytes")))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.skip(4)?.try_into().expect("four bytes")))
    }

    fn text(&mut self) -> Result<String> {
        let length = usize::try_from(self.i16()?)?;
        Ok(String::from_utf8(self.skip(length)?)?)
    }
}
