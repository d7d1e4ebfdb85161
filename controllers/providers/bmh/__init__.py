"""What providers share whose machines are BareMetalHosts of another cluster: real ones, or the view of another metal3-workloads."""
