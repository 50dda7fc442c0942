"""Index a run by several processes that torchrun started."""

from collections.abc import Callable

from tmssl.data.pack.reader import open_pack
from tmssl.data.pack.searched import searched_pack
from tmssl.errors import TrainingError
from tmssl.retrieval.index.faiss_index import open_index
from tmssl.retrieval.phases import phase_starter
from tmssl.retrieval.search.divided import PATIENCE_S, join_parts
from tmssl.retrieval.search.indexing import embed_missing, index_parts
from tmssl.retrieval.search.region_indexing import embed_missing_regions, regional_parts
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.learner import choose_device
from tmssl.training.ranks.distributed import RankLostError, join_ranks
from tmssl.types import Progress


def index_together(
    run: Run,
    checkpoint: str,
    *,
    views: int = 1,
    device: str = "auto",
    phase: Callable[[str], None] = lambda name: None,
    progress: Progress | None = None,
) -> bool:
    """Let the processes that torchrun started embed a run's marks together, where that was not done.

    Args:
        run: the run, whose folder all of them share.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        views: vectors of each mark; 1 is the whole alone.
        device: where the marks are embedded; each process takes the GPU of its local number.
        phase: called in the first process with the name of each phase as it begins.
        progress: called there with (done, total) of the phase.

    Returns:
        whether this process is the first, which goes on with the index; the others are done.

    Raises:
        InputError: the checkpoint cannot be loaded, or the disk is full.
        TrainingError: the processes see different weights, packs or views, or one of them ended.
    """
    where = choose_device(device)

    start_phase = phase_starter(phase, progress)

    try:
        with join_ranks(where) as ranks:
            weights = load_weights(find_checkpoint(run, checkpoint))
            pack = open_pack(searched_pack(run))
            parts = index_parts(run, weights, pack)
            regional = regional_parts(parts.index, views, pack)
            ranks.check_same(
                {
                    "encoder or pack": parts.index.name,
                    "--views": views,
                    "lettering of the pack": views > 1 and regional.files.lettered,
                }
            )
            embed_missing(
                parts,
                weights,
                trained_encoder(weights),
                pack,
                device=where,
                start_phase=start_phase,
                ranks=ranks,
            )
            if views > 1:
                embed_missing_regions(
                    regional, weights, pack, device=where, start_phase=start_phase, ranks=ranks
                )
            # Joined at last, so that no process waits for others while large files are copied.
            if ranks.is_first:
                patience_s = PATIENCE_S if ranks.size > 1 else 0.0
                join_parts(parts, parts.join, patience_s)
                if views > 1:
                    whole = open_index(parts.index)
                    join_parts(regional, lambda: regional.join(whole), patience_s)
            return ranks.is_first
    except RankLostError as error:
        raise TrainingError(
            "another process ended, so the marks are not all embedded; the same command embeds the rest"
        ) from error
