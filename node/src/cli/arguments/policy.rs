//! What can be typed about policies.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Parse and validate a folder with `schema.cedarschema` and `*.cedar`, without a node
    Validate {
        #[arg(value_name = "PATH")]
        folder: PathBuf,
    },
    /// Run the folder's `tests.json`, without a node
    Test(PolicyTestOrder),
    /// Validate a folder and put it in force on the node
    Push {
        #[arg(value_name = "PATH")]
        folder: PathBuf,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PolicyTestOrder {
    /// Folder of the policies
    #[arg(value_name = "PATH")]
    pub(crate) folder: PathBuf,
    /// Only cases whose name, subject, agents, action or resource contain this
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// The cases [default: PATH/tests.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) tests: Option<PathBuf>,
    /// Users, groups and agents as a SCIM list response [default: PATH/../directory.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) directory: Option<PathBuf>,
    /// Resources [default: PATH/../resources.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) resources: Option<PathBuf>,
    /// Grants; without them, cases are about policy alone [default: PATH/../grants.json where it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) grants: Option<PathBuf>,
}
