//! Databases on the server under test, and short ways to ask them.

use std::env;
use std::time::{Duration, Instant};

use postgres::types::{FromSqlOwned, ToSql};
use postgres::{Client, Config, NoTls, Row};

use crate::Result;

/// A connection to a database that is made for a run and dropped after it.
pub struct Database {
    pub client: Client,
    name: String,
}

fn config(name: &str) -> Result<Config> {
    let variable = |name: &str| env::var(name).map_err(|_| format!("{name} is not set: run make bench"));
    let mut config = Config::new();
    config.host(&variable("PGHOST")?).port(variable("PGPORT")?.parse()?).user(&variable("PGUSER")?).dbname(name);
    config.application_name("tasker_bench");
    Ok(config)
}

impl Database {
    pub fn connect(name: &str) -> Result<Database> {
        Ok(Database { client: config(name)?.connect(NoTls)?, name: name.to_string() })
    }

    /// The database that every server has, for what concerns the cluster.
    pub fn maintenance() -> Result<Database> {
        Database::connect("postgres")
    }

    /// As `connect`, and every notice's detail goes to `notice`.
    pub fn listen(name: &str, notice: impl Fn(String) + Send + Sync + 'static) -> Result<Database> {
        let mut config = config(name)?;
        config.notice_callback(move |error| notice(error.message().to_string()));
        Ok(Database { client: config.connect(NoTls)?, name: name.to_string() })
    }

    /// Makes a new database with an extension, in place of an old one.
    pub fn create(name: &str, extension: &str) -> Result<Database> {
        let mut maintenance = Database::maintenance()?;
        maintenance.run(&format!("drop database if exists {name} with (force)"))?;
        maintenance.run(&format!("create database {name}"))?;
        let mut database = Database::connect(name)?;
        database.run(&format!("set client_min_messages = warning; create extension {extension} cascade"))?;
        Ok(database)
    }

    /// Another connection to the same database.
    pub fn again(&self) -> Result<Database> {
        Database::connect(&self.name)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn drop(self) -> Result<()> {
        drop(self.client);
        Database::maintenance()?.run(&format!("drop database {} with (force)", self.name))
    }

    pub fn run(&mut self, statements: &str) -> Result<()> {
        Ok(self.client.batch_execute(statements)?)
    }

    pub fn rows(&mut self, statement: &str) -> Result<Vec<Row>> {
        Ok(self.client.query(statement, &[])?)
    }

    pub fn value<T: FromSqlOwned>(&mut self, statement: &str) -> Result<T> {
        self.value_of(statement, &[])
    }

    pub fn value_of<T: FromSqlOwned>(&mut self, statement: &str, arguments: &[&(dyn ToSql + Sync)]) -> Result<T> {
        Ok(self.client.query_one(statement, arguments)?.try_get(0)?)
    }

    /// Waits until a statement that yields a boolean is true. `what` ends the sentence "it took too long until".
    pub fn wait_until(&mut self, what: &str, condition: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let condition = self.client.prepare(condition)?;
        while !self.client.query_one(&condition, &[])?.try_get::<_, bool>(0)? {
            if Instant::now() > deadline {
                return Err(format!("it took too long until {what}").into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

/// Changes settings of the whole server until `reset_settings`.
pub fn set(settings: &[(&str, &str)]) -> Result<()> {
    let mut maintenance = Database::maintenance()?;
    for (name, value) in settings {
        maintenance.run(&format!("alter system set {name} = '{value}'"))?;
    }
    maintenance.run("select pg_reload_conf()")
}

pub fn reset_settings() -> Result<()> {
    let mut maintenance = Database::maintenance()?;
    maintenance.run("alter system reset all")?;
    maintenance.run("select pg_reload_conf()")
}

/// Writes what is dirty to disk now, so that no run pays for the one before.
pub fn checkpoint() -> Result<()> {
    Database::maintenance()?.run("checkpoint")
}
