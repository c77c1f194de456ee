"""This machine: clock, events, threads, file watches, logging, process hardening."""
