from .errors import UserError as UserError
from .model import VAE as VAE

__version__: str
