//! Executions are kept free for what answers requests, where one parameter says so, and for nothing else: worker and
//! sweeper take none from the account.

use crate::auth::deployed;
use crate::template::Template;
use std::collections::BTreeSet;

fn problems(template: &Template) -> Vec<String> {
    let cases: [(&[(&str, &str)], Option<usize>); 2] = [(&[], None), (&[("RouteConcurrency", "7")], Some(7))];
    let mut problems = Vec::new();
    for (parameters, kept) in cases {
        let stack = deployed(template, parameters).unwrap();
        let routes = stack.api.iter().flat_map(|api| &api.routes);
        let answering: BTreeSet<&String> =
            routes.flat_map(|route| [Some(&route.function), route.authorizer.as_ref()]).flatten().collect();
        for (id, function) in &stack.functions {
            let wanted = kept.filter(|_| answering.contains(id));
            if function.reserved_concurrency != wanted {
                let found = function.reserved_concurrency;
                problems.push(format!("{id} keeps {found:?} with {parameters:?}, not {wanted:?}"));
            }
        }
    }
    problems
}

#[test]
fn one_parameter_keeps_executions_for_whatever_answers_requests() {
    assert_eq!(problems(&Template::real()), Vec::<String>::new());
}

#[test]
fn what_is_kept_for_others_or_unasked_is_noticed() {
    let kept = "      ReservedConcurrentExecutions: !If [KeepsRoutesFree, !Ref RouteConcurrency, !Ref AWS::NoValue]\n";
    let authorizer = format!("Binary: authorizer }} }}\n    Properties:\n{kept}");
    let authorizers = authorizer.replace("Ref RouteConcurrency", "Ref MaxRunningJobs");
    let workers = format!("      Timeout: 180\n{kept}");
    for (old, new, problem) in [
        (kept, "", r#"CreateExportJob keeps None with [("RouteConcurrency", "7")]"#),
        (kept, "      ReservedConcurrentExecutions: !Ref RouteConcurrency\n", "CreateExportJob keeps Some(0) with []"),
        (authorizer.as_str(), authorizers.as_str(), "Authorizer keeps Some(1000)"),
        (
            "    Default: 0\n    MinValue: 0\n",
            "    Default: 5\n    MinValue: 0\n",
            "GetExportJob keeps Some(5) with []",
        ),
        ("      Timeout: 180\n", workers.as_str(), "ExportWorker keeps Some(7)"),
        (
            "      Timeout: 50\n",
            "      Timeout: 50\n      ReservedConcurrentExecutions: 1\n",
            "Sweeper keeps Some(1) with []",
        ),
    ] {
        let found = problems(&Template::edited(old, new));
        assert!(found.iter().any(|it| it.contains(problem)), "{old} → {new}: {found:?}");
    }
}
