"""Several worker processes on one data port: a supervisor that serves nobody, the workers, and their office.

| process | does |
|---|---|
| supervisor | starts the others, starts them again when they die, passes signals on; its memory is theirs (fork) |
| worker, one per slot | a whole sidecar: an `App` on the shared data port (SO_REUSEPORT), with one slab of the shared memory |
| office | the admin port: asks every worker and answers for all of them |

Read `supervisor.py` first.
"""
