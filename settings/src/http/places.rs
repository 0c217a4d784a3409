//! Gives places to connections: this number of connections in all, and a share of them for each client, so that no
//! client takes all of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

/// The places of one listener.
pub(super) struct Places {
    most: usize,
    share: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// The place of one connection, which is free again once this is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    client: IpAddr,
}

impl Places {
    /// Creates this number of places. One client gets `share` of them at most.
    pub(super) fn new(most: usize, share: usize) -> Arc<Places> {
        Arc::new(Places { most, share, taken: Mutex::default() })
    }

    /// Returns a place for a connection from this address. It returns none when all places are taken, or all that its
    /// client may have.
    pub(super) fn take(self: &Arc<Places>, address: IpAddr) -> Option<Place> {
        let client = client(address);
        let mut taken = self.taken();
        let of_client = taken.by_client.get(&client).copied().unwrap_or(0);
        if taken.all >= self.most || of_client >= self.share {
            return None;
        }
        taken.all += 1;
        taken.by_client.insert(client, of_client + 1);
        Some(Place { places: self.clone(), client })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        let left = taken.by_client.get(&self.client).map_or(0, |of_client| of_client - 1);
        match left {
            0 => taken.by_client.remove(&self.client),
            left => taken.by_client.insert(self.client, left),
        };
    }
}

/// Returns the client of an address. A client that has one IPv6 address mostly has all 2^64 addresses of its network.
fn client(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !0 << 64;
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_client_gets_its_share_and_all_clients_together_what_there_is() {
        let places = Places::new(5, 3);
        let mut first: Vec<Place> = (0..9).map_while(|_| places.take(address("192.0.2.1"))).collect();
        assert_eq!(first.len(), 3);
        let others: Vec<Place> = (0..9).map_while(|_| places.take(address("192.0.2.2"))).collect();
        assert_eq!(others.len(), 2);
        assert!(places.take(address("192.0.2.3")).is_none());
        drop(first.pop());
        assert!(places.take(address("192.0.2.3")).is_some());
        drop((first, others));
        assert!(places.taken().by_client.is_empty() && places.taken().all == 0);
    }

    #[test]
    fn addresses_of_one_network_and_two_spellings_of_one_address_are_one_client() {
        for (one, other, is_same) in [
            ("2001:db8::1", "2001:db8::ffff:1:2:3", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            assert_eq!(client(address(one)) == client(address(other)), is_same, "{one} {other}");
        }
    }
}
