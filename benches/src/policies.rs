//! Policies of the generated organisation: mostly one permit for each group and action.

use std::fmt::Write;

use portcullis_model::{PolicyFile, PolicySetText};

/// How many policies of each kind there are. One in four permits for users looks at the document, so
/// that its condition is evaluated; forbids are for groups that nobody is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Actions that the policies speak of, 1 to 200.
    pub actions: usize,
    /// Groups that users are in, 1 to 50.
    pub groups: usize,
    /// Forbids.
    pub forbids: usize,
    /// Further permits, for one folder each.
    pub extras: usize,
}

impl Grid {
    /// The parts of `policies` policies, at least 4.
    pub fn new(policies: usize) -> Self {
        let policies = policies.max(crate::organisation::POLICIES_MIN);
        let forbids = policies / 20;
        let permits = policies - AGENT_POLICIES - forbids;
        let actions = (permits / 10).clamp(1, ACTIONS_MAX);
        let groups = (permits / actions).clamp(1, GROUPS_MAX);
        Self { actions, groups, forbids, extras: permits - actions * groups }
    }

    /// How many policies that makes.
    pub fn policies(&self) -> usize {
        AGENT_POLICIES + self.forbids + self.actions * self.groups + self.extras
    }
}

/// Schema and policies of a grid.
pub(crate) fn policy_set(grid: Grid) -> PolicySetText {
    let file = |name: &str, text| PolicyFile { name: name.to_owned(), text };
    let files = vec![file("agents.cedar", agents(grid)), file("users.cedar", users(grid))];
    PolicySetText { schema: file("schema.cedarschema", schema()), files }
}

/// The id of action `number`; even ones read, odd ones write.
pub(crate) fn action_id(number: usize) -> String {
    format!("tool/{number}")
}

fn schema() -> String {
    let mut text = String::from(
        "entity Group in [Group];\nentity User in [Group];\nentity Agent in [Group];\nentity Folder;\n\
         entity Document in [Folder] { level: Long };\n\
         type Call = { user?: User, agent?: Agent, agents?: Set<Agent>, depth?: Long };\n\
         action \"read\", \"write\";\n",
    );
    for number in 0..ACTIONS_MAX {
        let group = if number % 2 == 0 { "read" } else { "write" };
        let id = action_id(number);
        put(
            &mut text,
            format_args!(
                "action \"{id}\" in [\"{group}\"] appliesTo {{ principal: [User, Agent], resource: [Document], context: Call }};\n"
            ),
        );
    }
    text
}

fn agents(grid: Grid) -> String {
    let mut text = String::new();
    for group in ["read", "write"] {
        put(
            &mut text,
            format_args!(
                "@id(\"agents-{group}\")\npermit(principal is Agent in Group::\"agents\", action in Action::\"{group}\", resource is Document);\n"
            ),
        );
    }
    for number in 0..grid.forbids {
        let (group, action) = (number % BARRED_GROUPS, action_id(number % grid.actions));
        put(
            &mut text,
            format_args!(
                "@id(\"barred-{number}\")\nforbid(principal is User in Group::\"barred-{group}\", action == Action::\"{action}\", resource is Document);\n"
            ),
        );
    }
    text
}

fn users(grid: Grid) -> String {
    let mut text = String::new();
    for number in 0..grid.actions * grid.groups {
        let (action, group) = (action_id(number % grid.actions), number / grid.actions);
        let condition = if number % 4 == 3 { " when { resource.level <= 5 }" } else { "" };
        put(
            &mut text,
            format_args!(
                "@id(\"group-{group}-{action}\")\npermit(principal is User in Group::\"group-{group}\", action == Action::\"{action}\", resource is Document){condition};\n"
            ),
        );
    }
    for number in 0..grid.extras {
        let (action, group, folder) = (action_id(number % grid.actions), number % grid.groups, number % FOLDERS);
        put(
            &mut text,
            format_args!(
                "@id(\"extra-{number}\")\npermit(principal is User in Group::\"group-{group}\", action == Action::\"{action}\", resource in Folder::\"folder-{folder}\");\n"
            ),
        );
    }
    text
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = text.write_fmt(line);
}

/// Most actions: what one organisation's tools have.
const ACTIONS_MAX: usize = 200;
/// Most groups that policies speak of.
pub(crate) const GROUPS_MAX: usize = 50;
/// Groups that forbids speak of.
pub(crate) const BARRED_GROUPS: usize = 10;
/// Folders that documents are in.
pub(crate) const FOLDERS: usize = 20;
/// Permits for agents: one for reading, one for writing.
const AGENT_POLICIES: usize = 2;
