//! A generated organisation: groups, users, agents, documents, and a grant for every user.

use std::sync::Arc;

use portcullis_model::{
    Attribute, Change, EntityRecord, EntityType, EntityUid, GrantId, GrantRecord, Owner, PolicySetText, Request,
    ResourceScope, SessionTerms, Timestamp, Value,
};

use crate::policies::{self, Grid};

/// How large an organisation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Users, in up to 50 groups below 5 departments below `Group::"staff"`.
    pub users: usize,
    /// Agents; every user has a grant for one.
    pub agents: usize,
    /// Documents, in 20 folders.
    pub documents: usize,
    /// Policies, at least 4.
    pub policies: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { users: 1_000, agents: 20, documents: 1_000, policies: 1_000 }
    }
}

/// An organisation of a shape. Cheap to clone; everything is generated when it is asked for.
#[derive(Clone, Debug)]
pub struct Organisation {
    shape: Shape,
    grid: Grid,
    types: Arc<Types>,
}

#[derive(Debug)]
struct Types {
    group: EntityType,
    user: EntityType,
    agent: EntityType,
    folder: EntityType,
    document: EntityType,
    action: EntityType,
}

impl Organisation {
    /// An organisation of `shape`; zeros count as one.
    pub fn new(shape: Shape) -> Self {
        let shape = Shape {
            users: shape.users.max(1),
            agents: shape.agents.max(1),
            documents: shape.documents.max(1),
            policies: shape.policies.max(POLICIES_MIN),
        };
        let named = |text: &str| text.parse().expect("a plain identifier is an entity type");
        let types = Types {
            group: named("Group"),
            user: named("User"),
            agent: named("Agent"),
            folder: named("Folder"),
            document: named("Document"),
            action: named("Action"),
        };
        Self { shape, grid: Grid::new(shape.policies), types: Arc::new(types) }
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The policy set: exactly as many policies as the shape says.
    pub fn policy_set(&self) -> PolicySetText {
        policies::policy_set(self.grid)
    }

    /// Everything the directory holds, in an order in which it can be applied.
    pub fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        let groups = self.groups().map(Change::PutEntity);
        let agents = (0..self.shape.agents)
            .map(|number| Change::PutEntity(self.record(self.agent(number), vec![self.group("agents")])));
        let folders = (0..policies::FOLDERS).map(|number| Change::PutEntity(EntityRecord::named(self.folder(number))));
        let documents = (0..self.shape.documents).map(|number| Change::PutEntity(self.document_record(number)));
        let users = (0..self.shape.users)
            .flat_map(|number| [Change::PutEntity(self.user_record(number)), Change::Grant(self.grant(number))]);
        groups.chain(agents).chain(folders).chain(documents).chain(users)
    }

    /// User `number`, modulo how many there are.
    pub fn user(&self, number: usize) -> EntityUid {
        numbered(&self.types.user, "user", number % self.shape.users)
    }

    /// Agent `number`, modulo how many there are.
    pub fn agent(&self, number: usize) -> EntityUid {
        numbered(&self.types.agent, "agent", number % self.shape.agents)
    }

    /// The agent that user `number` has a grant for.
    pub fn agent_of(&self, number: usize) -> EntityUid {
        self.agent(number % self.shape.users)
    }

    /// Document `number`, modulo how many there are.
    pub fn document(&self, number: usize) -> EntityUid {
        numbered(&self.types.document, "document", number % self.shape.documents)
    }

    /// Action `number`, modulo how many the policies speak of.
    pub fn action(&self, number: usize) -> EntityUid {
        let id = policies::action_id(number % self.grid.actions);
        EntityUid::new(self.types.action.clone(), &id).expect("a generated id is a valid one")
    }

    /// How many actions the policies speak of.
    pub fn actions(&self) -> usize {
        self.grid.actions
    }

    /// A group by its name, for example `staff`.
    pub fn group(&self, name: &str) -> EntityUid {
        EntityUid::new(self.types.group.clone(), name).expect("a generated id is a valid one")
    }

    /// User `number` as stored.
    pub fn user_record(&self, number: usize) -> EntityRecord {
        let group = self.group(&format!("group-{}", number % self.grid.groups));
        self.record(self.user(number), vec![group])
    }

    /// User `number` as stored after moving to another of the groups.
    pub fn moved_record(&self, number: usize, group: usize) -> EntityRecord {
        let group = self.group(&format!("group-{}", group % policies::GROUPS_MAX));
        self.record(self.user(number), vec![group])
    }

    /// `Group::"staff"`, whose members are all users by way of their groups' departments; as a part of
    /// `Group::"company"` or not. Storing it changes the ancestors of every user.
    pub fn staff_record(&self, part_of_company: bool) -> EntityRecord {
        let parents = if part_of_company { vec![self.group("company")] } else { Vec::new() };
        self.record(self.group("staff"), parents)
    }

    /// The grant of user `number` for their agent.
    pub fn grant(&self, number: usize) -> GrantRecord {
        let place = u64::try_from(number % self.shape.users).unwrap_or(u64::MAX);
        let user = self.user(number);
        let group_of_actions = |id| EntityUid::new(self.types.action.clone(), id).expect("a plain id is valid");
        GrantRecord {
            id: GrantId::from_words([place, GRANT_MARK]),
            grantor: user.clone(),
            subject: user,
            agent: self.agent_of(number),
            parent: None,
            depth_left: 0,
            actions: vec![group_of_actions("read"), group_of_actions("write")],
            resource: ResourceScope::Any,
            condition: None,
            not_before: None,
            expires: None,
        }
    }

    /// Session `number`: a user, modulo how many there are, through the agent of their grant.
    pub fn session(&self, number: usize) -> SessionTerms {
        SessionTerms { subject: self.user(number), agents: vec![self.agent_of(number)], expires: Timestamp::MAX }
    }

    /// Request `number`: action and document round robin. Every session is permitted every request.
    pub fn request(&self, number: usize) -> Request {
        Request::new(self.action(number), self.document(number))
    }

    fn groups(&self) -> impl Iterator<Item = EntityRecord> + '_ {
        let fixed = [EntityRecord::named(self.group("company")), self.staff_record(false)];
        let fixed = fixed.into_iter().chain([EntityRecord::named(self.group("agents"))]);
        let departments = (0..DEPARTMENTS)
            .map(|number| self.record(self.group(&format!("department-{number}")), vec![self.group("staff")]));
        let groups = (0..policies::GROUPS_MAX).map(|number| {
            let department = self.group(&format!("department-{}", number % DEPARTMENTS));
            self.record(self.group(&format!("group-{number}")), vec![department])
        });
        let barred =
            (0..policies::BARRED_GROUPS).map(|number| EntityRecord::named(self.group(&format!("barred-{number}"))));
        fixed.chain(departments).chain(groups).chain(barred)
    }

    fn document_record(&self, number: usize) -> EntityRecord {
        let mut record = self.record(self.document(number), vec![self.folder(number)]);
        let level = i64::try_from(number % 5).unwrap_or(0);
        record.attributes.insert("level".into(), Attribute { value: Value::Long(level), owner: Owner::default() });
        record
    }

    fn folder(&self, number: usize) -> EntityUid {
        numbered(&self.types.folder, "folder", number % policies::FOLDERS)
    }

    fn record(&self, uid: EntityUid, parents: Vec<EntityUid>) -> EntityRecord {
        EntityRecord { parents, ..EntityRecord::named(uid) }
    }
}

fn numbered(entity_type: &EntityType, stem: &str, number: usize) -> EntityUid {
    EntityUid::new(entity_type.clone(), &format!("{stem}-{number}")).expect("a generated id is a valid one")
}

/// Two permits for agents, and something for users to be permitted.
pub(crate) const POLICIES_MIN: usize = 4;
const DEPARTMENTS: usize = 5;
/// Tells generated grants from others in a dump.
const GRANT_MARK: u64 = 0x6772_616e_7400_0000;
