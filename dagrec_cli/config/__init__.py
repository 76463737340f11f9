"""Where the configs lie, how a node becomes an object, rules across groups, what decides."""
