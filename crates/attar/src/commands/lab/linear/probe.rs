//! Question 7: a linear probe on the code of a linear autoencoder, and on that of PCA.

use attar_linear::linear_autoencoder::{Normalisation, Objective, Solver, Training, Weights, orthonormality};
use attar_linear::{FittedLogisticRegression, L2, LogisticRegression, accuracy};
use attar_report::Block;
use faer::{Mat, MatRef, Side};

use super::Lab;
use super::arithmetic::{largest, product};
use super::source::Source;
use crate::commands::lab::answer::{Answer, Claim, shown};
use crate::commands::lab::figure::table;
use crate::commands::lab::questions::Part;
use crate::error::CliError;

/// Of the gradient per row at which a probe's fit ends; products in single precision set a floor near 1e-6.
const TOLERANCE: f64 = 1e-5;

/// The probe's penalty per row: it makes the loss strongly convex, so that two fits that end with gradients below
/// `TOLERANCE` have weights within `2 TOLERANCE` over this.
const STRENGTH: f64 = 0.01;

/// Rows encoded at a time.
const BLOCK: usize = 4096;

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let (mut claims, mut rows) = (Vec::new(), Vec::new());
    for source in &lab.sources {
        let compared = compare(source, lab.seed)?;
        claims.extend(of_source(source.name, &compared));
        rows.extend(compared.table(source.name));
    }
    Ok(Part { answer: answer(claims), figures: vec![accuracies(rows)] })
}

/// A probe on some codes.
struct Probed {
    what: &'static str,
    accuracy: f64,
    fitted: FittedLogisticRegression,
    predicted: Vec<u32>,
    logits: Mat<f64>,
}

/// The two codes under the same probe.
struct Compared {
    pca: Probed,
    autoencoder: Probed,
    /// The autoencoder's code as it is: each number standardised, but correlated with the others.
    raw: Probed,
    /// `‖OᵀO - I‖` of the matrix that takes PCA's whitened code to the autoencoder's.
    not_orthogonal: f64,
    /// `‖V - W Oᵀ‖` of the probes' weights.
    weights_apart: f64,
}

fn compare(source: &Source, seed: u64) -> Result<Compared, CliError> {
    let subject = &source.subject;
    let solver = Solver::AlternatingLeastSquares;
    let training = Training { solver, tolerance: 1e-8, max_iterations: 20_000, record_every: 20_000 };
    let plain = subject.model(Objective::Plain);
    let trained = plain.train(&subject.factor, &subject.start(seed), &training)?.weights;
    let principal = plain.optimum(&subject.factor)?.weights;
    let of_pca = whitened(source, &principal)?;
    let of_trained = whitened(source, &trained)?;
    let turn = product(product(of_trained.as_ref(), covariance(source).as_ref()).as_ref(), of_pca.transpose());
    let pca = probe(source, "PCA, whitened", of_pca.as_ref())?;
    let autoencoder = probe(source, "autoencoder, whitened", of_trained.as_ref())?;
    let raw = probe(source, "autoencoder, standardised", trained.encoder.as_ref())?;
    let wide = |probed: &Probed| {
        let weight = &probed.fitted.weight;
        Mat::from_fn(weight.nrows(), weight.ncols(), |i, j| f64::from(weight[(i, j)]))
    };
    let expected = product(wide(&pca).as_ref(), turn.transpose());
    let weights_apart = (wide(&autoencoder) - expected).norm_l2();
    Ok(Compared { not_orthogonal: orthonormality(turn.as_ref()), weights_apart, pca, autoencoder, raw })
}

/// `K = X Xᵀ/n`.
fn covariance(source: &Source) -> Mat<f64> {
    let factor = &source.subject.factor;
    let variances = factor.variances(Normalisation::PerSample);
    let root = Mat::from_fn(factor.features(), factor.rank(), |i, j| factor.vectors()[(i, j)] * variances[j].sqrt());
    product(root.as_ref(), root.transpose())
}

/// An encoder with the same row space whose codes have the unit covariance: `(W₁KW₁ᵀ)^(-½) W₁`.
fn whitened(source: &Source, weights: &Weights) -> Result<Mat<f64>, CliError> {
    let encoder = weights.encoder.as_ref();
    let of_codes = product(product(encoder, covariance(source).as_ref()).as_ref(), encoder.transpose());
    let eigen = of_codes.self_adjoint_eigen(Side::Lower);
    let eigen = eigen.map_err(|_| CliError::run("the eigenvalues of a code's covariance did not converge"))?;
    let (vectors, values) = (eigen.U(), eigen.S().column_vector());
    let scaled = Mat::from_fn(vectors.nrows(), vectors.ncols(), |i, j| vectors[(i, j)] / values[j].sqrt());
    Ok(product(product(scaled.as_ref(), vectors.transpose()).as_ref(), encoder))
}

fn probe(source: &Source, what: &'static str, encoder: MatRef<'_, f64>) -> Result<Probed, CliError> {
    let (train, test) = (&source.split.train, &source.split.test);
    let (codes, labels) = (encoded(source, encoder, train), labels_of(source, train));
    let l2 = L2::Fixed(STRENGTH * train.len() as f64);
    let config = LogisticRegression { l2, tolerance: TOLERANCE, ..LogisticRegression::default() };
    let fitted = config.fit(codes.as_ref(), &labels, source.classes)?;
    let codes = encoded(source, encoder, test);
    let predicted = fitted.predict(codes.as_ref())?;
    let logits = logits(&fitted, codes.as_ref());
    Ok(Probed { what, accuracy: accuracy(&predicted, &labels_of(source, test))?, fitted, predicted, logits })
}

fn encoded(source: &Source, encoder: MatRef<'_, f64>, rows: &[usize]) -> Mat<f32> {
    let mut codes = Mat::zeros(rows.len(), encoder.nrows());
    for (block, rows) in rows.chunks(BLOCK).enumerate() {
        let of_block = product(source.centred(rows).as_ref(), encoder.transpose());
        for j in 0..encoder.nrows() {
            (0..rows.len()).for_each(|i| codes[(block * BLOCK + i, j)] = of_block[(i, j)] as f32);
        }
    }
    codes
}

fn labels_of(source: &Source, rows: &[usize]) -> Vec<u32> {
    rows.iter().map(|&row| source.labels[row]).collect()
}

fn logits(fitted: &FittedLogisticRegression, codes: MatRef<'_, f32>) -> Mat<f64> {
    Mat::from_fn(codes.nrows(), fitted.bias.len(), |i, class| {
        let products = (0..codes.ncols()).map(|j| f64::from(fitted.weight[(class, j)]) * f64::from(codes[(i, j)]));
        f64::from(fitted.bias[class]) + products.sum::<f64>()
    })
}

/// By how much the log-odds of two classes differ at most: what a softmax sees.
fn log_odds_apart(left: &Probed, right: &Probed) -> f64 {
    let difference = &left.logits - &right.logits;
    let spread = |i: usize| {
        let row: Vec<f64> = difference.row(i).iter().copied().collect();
        largest(row.iter().copied()) + largest(row.iter().map(|value| -value))
    };
    largest((0..difference.nrows()).map(spread))
}

impl Compared {
    fn table(&self, name: &str) -> Vec<Vec<String>> {
        let row = |probed: &Probed| {
            let other = self.pca.predicted.iter().zip(&probed.predicted).filter(|(a, b)| a != b).count();
            let gradient = shown(probed.fitted.gradient_norm);
            vec![
                name.to_owned(),
                probed.what.to_owned(),
                format!("{:.4}", probed.accuracy),
                other.to_string(),
                gradient,
            ]
        };
        vec![row(&self.pca), row(&self.autoencoder), row(&self.raw)]
    }
}

fn of_source(name: &str, compared: &Compared) -> Vec<Claim> {
    let Compared { pca, autoencoder, .. } = compared;
    let rows = pca.predicted.len() as f64;
    let other = pca.predicted.iter().zip(&autoencoder.predicted).filter(|(a, b)| a != b).count() as f64;
    let near = 2.0 * TOLERANCE / STRENGTH;
    vec![
        Claim::at_most(
            format!("{name}: ||O^T O - I|| of the matrix between the whitened codes; codes are in single precision"),
            compared.not_orthogonal,
            1e-6,
        ),
        Claim::at_most(
            format!(
                "{name}: difference of the probes' weights after the rotation; gradients of {TOLERANCE:e} and a \
                 penalty of {STRENGTH} per row allow as much"
            ),
            compared.weights_apart,
            near,
        ),
        Claim::at_most(
            format!(
                "{name}: largest difference of a log-odds on {rows} test rows; weights within that, codes of length \
                 up to 10"
            ),
            log_odds_apart(pca, autoencoder),
            20.0 * near,
        ),
        Claim::at_most(format!("{name}: share of the test rows that are predicted otherwise"), other / rows, 1e-3),
        Claim::at_most(
            format!("{name}: difference of the accuracies, {:.4} and {:.4}", pca.accuracy, autoencoder.accuracy),
            (pca.accuracy - autoencoder.accuracy).abs(),
            1e-3,
        ),
    ]
}

fn accuracies(rows: Vec<Vec<String>>) -> Block {
    let columns = ["data", "code", "test accuracy", "predicted otherwise than PCA's", "gradient at the end"];
    let caption = format!(
        "Multinomial logistic regression with an L2 penalty of {STRENGTH} per row. The third line of each is what is \
         lost or won without whitening: the penalty then depends on the axes that training happened to choose."
    );
    table("The same probe on both codes", &caption, &columns, rows)
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "7. Is a linear probe on the code of a linear autoencoder any better than one on the principal \
                   components?"
            .into(),
        derivation: "At the optimum the autoencoder's code is Q^-1 times PCA's, with some invertible Q. Whitened, \
                     both codes have the unit covariance, so that the matrix O between them has O O^T = I: a \
                     rotation. A probe's logits W c + b on one code are those of W O^T on the other, and the L2 \
                     penalty is the same for W and W O^T. So the penalised problems are one and the same, and with a \
                     penalty above 0 their solution is unique: same probabilities, same predictions."
            .into(),
        answer: "No. Whitened and with the same L2 penalty the two probes are the same to the accuracy of their fits. \
                 Where numbers differ in practice it is the scaling of the code that differs, not what it holds."
            .into(),
        claims,
    }
}
