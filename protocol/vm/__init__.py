"""The program machine: state views, typed tables, gas, contract schemas, programs and their execution."""
