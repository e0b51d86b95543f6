"""Runs each job's program in a process of its own, which has nothing but that program and the models it is given.

    predictor                        zygote                          process of one program
    store's credentials, cache       PyTorch, and nothing else       one program, its models
    `pool`, `process`          →     `zygote`                  →     `worker`
                        fork, please         fork, `limits`, `syscalls`

A program comes from whoever may upload. Its operators are checked before they run, but PyTorch has a thousand kernels
in C++, and a flaw in one may read, write or execute anything its process can reach. So that is made next to nothing:
no environment, no file, no network, no other job's memory, little memory and time, and hardly a system call. What such
a process answers is data from a stranger.

The *zygote* (Android's word) has imported PyTorch, which takes a second, and then forks a process for each program,
which takes some ten milliseconds and shares PyTorch's own memory. It is started with an empty environment and never
gets to see a byte of a job's, so its forks have nothing of another job's either.

`wire` is what predictor and processes say to each other; `launch` starts the zygote.
"""
