"""`python -m synthrec` is `synthrec`."""

from synthrec.cli.main import cli

if __name__ == "__main__":
    cli(prog_name="synthrec")
