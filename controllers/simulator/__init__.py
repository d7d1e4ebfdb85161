"""Simulate a Baremetal Operator: take real BareMetalHost objects through BMO's states, without
hardware.

`machine` decides, and `controller` reads and writes over HTTP. The behaviour follows
baremetal-operator's host_state_machine.go and baremetalhost_controller.go. Firmware kinds, data
images and servicing are not simulated.
"""
