"""The operator: turns HomeServer resources into running Synapse topologies."""
