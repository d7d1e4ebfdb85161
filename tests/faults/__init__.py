"""Never losing a write: processes killed, disks cut off and full, files damaged, histories checked.
`make faults` runs it."""
