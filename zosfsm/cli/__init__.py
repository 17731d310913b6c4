"""The commands: one thin file each, imported only when it is asked for."""
