//! Finds out whether a session of the server belongs to one client alone.
//!
//! Behind a pooler in transaction mode, each transaction runs in any session of the server that is free, and other
//! clients change the settings of that session. Tables would be looked for in another schema, and a lock would belong
//! to another client. In session mode, a session belongs to one client until the client disconnects.

use diesel::connection::SimpleConnection;
use diesel::sql_types::Integer;
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl};
use parking_lot::Mutex;

/// The message about a session that other clients share.
pub(crate) const SHARED: &str = "several clients share one session of the server, as behind a pooler in transaction mode; \
                                 set the pooler to session mode (PgBouncer: pool_mode = session), or connect past it";

/// The text that is added when the first transaction of a session ended the session. libpq does not hand out the
/// pooler's message in this case.
pub(crate) const ENDED: &str = "the session ended in its first transaction, as behind a pooler in statement mode, which has \
                                to be set to session mode";

/// The begin of a transaction for these questions. Timeouts that are set for the role do not end it.
const BEGIN: &str = "begin; set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0";

/// The lock that lets one thread ask at a time. Other threads of this process would take the free session in between.
static ASKING: Mutex<()> = Mutex::new(());

/// How many times the question is repeated. Other programs may take the free session, too.
const ROUNDS: usize = 3;

/// Returns whether two clients that are both connected share sessions of the server. A pooler gives the free session to
/// the client that begins a transaction next, and gives another session to other clients during that transaction.
///
/// # Errors
/// Returns why the server can't be asked. A pooler in statement mode refuses transactions, and says so.
pub(crate) fn is_shared(first: &mut PgConnection, second: &mut PgConnection) -> QueryResult<bool> {
    let _one = ASKING.lock();
    for _ in 0..ROUNDS {
        let before = in_transaction(first, session)?;
        let is_shared = in_transaction(second, |second| {
            Ok(session(second)? == before || in_transaction(first, session)? != before)
        })?;
        if is_shared {
            return Ok(true);
        }
    }
    Ok(false)
}

fn in_transaction<T>(
    connection: &mut PgConnection,
    ask: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    connection.batch_execute(BEGIN)?;
    let answer = ask(connection);
    connection.batch_execute("rollback")?;
    answer
}

/// Returns the process of the server that serves a transaction.
fn session(connection: &mut PgConnection) -> QueryResult<i32> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        pid: i32,
    }
    let Row { pid } = diesel::sql_query("select pg_backend_pid() as pid").get_result(connection)?;
    Ok(pid)
}
