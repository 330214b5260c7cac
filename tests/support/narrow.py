"""Narrows an access token with biscuit-python, as its holder would: the token, the public key of the installation
and the Datalog to add are in the environment; the narrowed token goes to standard output."""

import os

from biscuit_auth import Biscuit, BlockBuilder, PublicKey

key = PublicKey("ed25519/" + os.environ["KEY"])
token = Biscuit.from_base64(os.environ["TOKEN"].removeprefix("vst_"), key)
print("vst_" + token.append(BlockBuilder(os.environ["CODE"])).to_base64())
