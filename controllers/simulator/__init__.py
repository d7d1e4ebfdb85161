"""A simulated Baremetal Operator: takes real BareMetalHost objects through BMO's states, with no
hardware behind them.

`machine` (pure) decides, `controller` reads and writes over HTTP. Facts: baremetal-operator's
host_state_machine.go and baremetalhost_controller.go. Not simulated: HardwareData, firmware kinds,
data images, servicing.
"""
