//! Black-box tests over real HTTP against the real binary.
