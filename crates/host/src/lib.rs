//! Files, destinations, services, processes, the journal and the configuration file of this machine.
