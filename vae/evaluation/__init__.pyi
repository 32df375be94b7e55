from .importance_sampling import ImportanceSampler as ImportanceSampler
from .importance_sampling import importance_weighted_nll as importance_weighted_nll
from .information import mutual_information as mutual_information
from .measurement import measure_model as measure_model
from .pictures import save_pictures as save_pictures
from .tables import print_quantities as print_quantities
from .tables import progress_bar as progress_bar
