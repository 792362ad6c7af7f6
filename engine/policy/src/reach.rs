//! Which entities a condition may look into, found once from its syntax tree.
//!
//! Cedar looks into an entity only where an expression is dereferenced: an attribute or tag is read or
//! tested, or the expression stands left of `in`. Such an expression can only be a variable, a literal,
//! what an attribute or tag holds, a branch of an `if`, or a field of a record literal; nothing takes an
//! element out of a set. So a condition's reach is a list of paths, each of which leads to few entities
//! however large the sets are that it compares.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Var};
use portcullis_model::EntityUid;

use crate::convert::uid_of_tree;

/// The way to a value that is dereferenced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) steps: Vec<Step>,
}

/// Where a path begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Root {
    Principal,
    Action,
    Resource,
    Context,
    Entity(EntityUid),
}

/// One dereference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Attribute(Arc<str>),
    Tag(Arc<str>),
    /// A tag whose key is computed.
    AnyTag,
}

/// Why the reach of a condition is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReachError {
    /// cedar-policy has more kinds of expression than this room knows.
    #[error("the policy has an expression that this version does not know")]
    Unknown,
    /// Branches within branches give more paths than one evaluation could follow.
    #[error("the policy reaches more than {PATHS_MAX} entities: split it")]
    Large,
}

/// Most paths of one policy, kept while reading it. BOUND: the branches of an `if` multiply.
const PATHS_MAX: usize = 4_096;

/// Every path that the clauses dereference, without duplicates. The entities that the variables
/// themselves name are always there, so paths without a step are left out unless they begin at a literal.
pub(crate) fn reach(clauses: &[Clause]) -> Result<Vec<Path>, ReachError> {
    let mut collector = Collector { paths: Vec::new() };
    for clause in clauses {
        let (Clause::When(expression) | Clause::Unless(expression)) = clause;
        collector.read(expression)?;
    }
    collector.compact();
    Ok(collector.paths)
}

/// What an expression may give that can be dereferenced.
#[derive(Clone)]
enum Target {
    Path(Path),
    Record(BTreeMap<String, Vec<Target>>),
}

struct Collector {
    paths: Vec<Path>,
}

impl Collector {
    /// Reads an expression and gives what it may evaluate to.
    fn read(&mut self, expression: &Expr) -> Result<Vec<Target>, ReachError> {
        match expression {
            Expr::Literal(Literal::EntityUID(uid)) => {
                // An entity that cannot exist is missing, however it is looked into.
                Ok(uid_of_tree(uid).ok().map(|uid| start(Root::Entity(uid))).into_iter().collect())
            }
            Expr::Literal(Literal::Bool(_) | Literal::Long(_) | Literal::String(_)) => Ok(Vec::new()),
            Expr::Var(variable) => Ok(vec![start(match variable {
                Var::Principal => Root::Principal,
                Var::Action => Root::Action,
                Var::Resource => Root::Resource,
                Var::Context => Root::Context,
            })]),
            Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => self.read(expr).map(|_| Vec::new()),
            Expr::BinaryOp { op, left, right } => self.read_binary(*op, left, right),
            Expr::GetAttr { expr, attr } => {
                let targets = self.read(expr)?;
                self.dereference(targets, &Step::Attribute(Arc::from(attr.as_str())))
            }
            Expr::HasAttr { expr, attrs } => {
                let mut targets = self.read(expr)?;
                for attr in attrs {
                    targets = self.dereference(targets, &Step::Attribute(Arc::from(attr.as_str())))?;
                }
                Ok(Vec::new())
            }
            Expr::Is { expr, in_expr, .. } => {
                let targets = self.read(expr)?;
                if let Some(container) = in_expr {
                    self.look_into(&targets)?;
                    self.read(container)?;
                }
                Ok(Vec::new())
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.read(cond)?;
                let mut targets = self.read(then_expr)?;
                targets.extend(self.read(else_expr)?);
                bounded(targets)
            }
            Expr::Set(elements) => {
                elements.iter().try_for_each(|element| self.read(element).map(drop))?;
                Ok(Vec::new())
            }
            Expr::Record(fields) => {
                let fields = fields.iter().map(|(name, field)| Ok((name.clone(), self.read(field)?)));
                Ok(vec![Target::Record(fields.collect::<Result<_, ReachError>>()?)])
            }
            _ => Err(ReachError::Unknown),
        }
    }

    fn read_binary(&mut self, operator: BinaryOp, left: &Expr, right: &Expr) -> Result<Vec<Target>, ReachError> {
        let targets = self.read(left)?;
        self.read(right)?;
        match operator {
            BinaryOp::In => self.look_into(&targets).map(|()| Vec::new()),
            BinaryOp::GetTag | BinaryOp::HasTag => {
                let step = match right {
                    Expr::Literal(Literal::String(key)) => Step::Tag(Arc::from(key.as_str())),
                    _ => Step::AnyTag,
                };
                let values = self.dereference(targets, &step)?;
                Ok(if operator == BinaryOp::GetTag { values } else { Vec::new() })
            }
            _ => Ok(Vec::new()),
        }
    }

    fn look_into(&mut self, targets: &[Target]) -> Result<(), ReachError> {
        for target in targets {
            if let Target::Path(path) = target
                && (!path.steps.is_empty() || matches!(path.root, Root::Entity(_)))
            {
                self.paths.push(path.clone());
            }
        }
        if self.paths.len() > PATHS_MAX {
            self.compact();
        }
        if self.paths.len() > PATHS_MAX { Err(ReachError::Large) } else { Ok(()) }
    }

    fn dereference(&mut self, targets: Vec<Target>, step: &Step) -> Result<Vec<Target>, ReachError> {
        self.look_into(&targets)?;
        let mut values = Vec::new();
        for target in targets {
            match (target, step) {
                (Target::Path(mut path), step) => {
                    path.steps.push(step.clone());
                    values.push(Target::Path(path));
                }
                (Target::Record(mut fields), Step::Attribute(name)) => {
                    values.extend(fields.remove(&**name).unwrap_or_default());
                }
                // A record has no tags: Cedar errors before it looks anywhere.
                (Target::Record(_), Step::Tag(_) | Step::AnyTag) => {}
            }
        }
        bounded(values)
    }

    fn compact(&mut self) {
        self.paths.sort_unstable();
        self.paths.dedup();
    }
}

fn start(root: Root) -> Target {
    Target::Path(Path { root, steps: Vec::new() })
}

fn bounded(targets: Vec<Target>) -> Result<Vec<Target>, ReachError> {
    if targets.len() > PATHS_MAX { Err(ReachError::Large) } else { Ok(targets) }
}
