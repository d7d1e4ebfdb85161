"""Check how policies and bindings are read and joined."""

from __future__ import annotations

from apiserver.admission.policies.definitions import Policies, policy_of
from tests.unit.apiserver.admission.policies.given import MAPS, binding, policy


def test_policies_come_with_their_bindings_in_order() -> None:
    policies = Policies()
    for name in ("b", "a", "unbound"):
        policies.policy_changed(None, policy("true", name=name))
    for name, of in (("2", "a"), ("1", "a"), ("3", "b"), ("4", "nope")):
        policies.binding_changed(None, binding(name=name, of=of))
    assert [(hook.policy.name, [one.name for one in hook.bindings]) for hook in policies.hooks] == [("a", ["1", "2"]), ("b", ["3"])]
    policies.binding_changed(binding(name="3", of="b"), None)
    policies.policy_changed(policy("true", name="a"), None)
    assert policies.hooks == ()


def test_a_policy_is_compiled_again_only_if_its_spec_changes() -> None:
    policies, before = Policies(), policy("true", **MAPS)
    policies.policy_changed(None, before)
    policies.binding_changed(None, binding())
    compiled = policies.hooks[0].policy
    policies.policy_changed(before, {**before, "status": {"observedGeneration": 1}})
    assert policies.hooks[0].policy is compiled
    policies.policy_changed(before, policy("false"))
    assert policies.hooks[0].policy is not compiled
    assert policies.param_kinds == frozenset()


def test_parameters_and_authorizers_are_variables_where_they_may_be() -> None:
    found = policy_of(policy("params == null && authorizer.path('/x').check('get').allowed()"))
    assert "undeclared reference to 'params'" in found.validations[0].condition.error
    found = policy_of(policy(validations=[{"expression": "params == null", "messageExpression": "string(authorizer == null)"}], **MAPS))
    assert found.validations[0].condition.error == ""
    message = found.validations[0].message_expression
    assert message is not None
    assert "undeclared reference to 'authorizer'" in message.error
