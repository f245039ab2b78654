"""Text and bytes to messages: reading nets and solvers with places, upgrade of old files, phases, users' settings."""

from netforge.schema import netforge_pb2 as messages
from netforge.schema.definition import LayerDefinition, NetDefinition, merge_state
from netforge.schema.describe import SettingHelp, describe_message, describe_settings
from netforge.schema.files import parse_binary, resolve_path
from netforge.schema.reading import parse_net, read_net
from netforge.schema.settings import declare_settings, setting
from netforge.schema.solver import SolverDefinition, parse_solver, read_solver
from netforge.schema.state import NetState
from netforge.schema.writing import write_text

__all__ = [
    "LayerDefinition",
    "NetDefinition",
    "NetState",
    "SettingHelp",
    "SolverDefinition",
    "declare_settings",
    "describe_message",
    "describe_settings",
    "merge_state",
    "messages",
    "parse_binary",
    "parse_net",
    "parse_solver",
    "read_net",
    "read_solver",
    "resolve_path",
    "setting",
    "write_text",
]
